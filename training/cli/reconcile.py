"""`reconcile`: mark as ambiguous what the labels of two stores contradict each other of."""

from pathlib import Path

import click

from training.cli.options import A_PATH


@click.command()
@click.argument("stores", type=A_PATH, nargs=-1, required=True, metavar="STORE...")
@click.option("--out", type=A_PATH, required=True, help="folder for the stores, under their names")
def command(stores: tuple[Path, ...], out: Path) -> None:
    """Mark as ambiguous what the labels of stores (STORE: store.json that `import` wrote) contradict each other of.

    Pictures of one patient in two stores are registered; a figure of one that the other, where it shows the same tissue, does not
    call a figure is neither taught nor judged.
    """
    from serving.datasets.store import read_store, write_store  # noqa: PLC0415
    from training.data.disagreements import reconcile  # noqa: PLC0415

    given = [read_store(path) for path in stores]
    names = [store.name for store in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two stores are called {twice[0]}; import one again with another --name")
    made, overlaps = reconcile(given)
    for store in made:
        write_store(store, out / f"{store.name}.json")
    figures = sum(len(p.boxes()) for store in given for p in store)
    left = sum(len(p.boxes()) for store in made for p in store)
    print(f"{len(overlaps)} overlaps; {figures - left} of {figures} figures are ambiguous now; stores in {out}")
