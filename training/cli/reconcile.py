"""`reconcile`: mark as ambiguous what the labels of two stores contradict each other of."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "reconcile",
        help="mark as ambiguous what the labels of stores contradict each other of",
        description="Pictures of one patient in two stores are registered; a figure of one that the other, where it shows the "
        "same tissue, does not call a figure is neither taught nor judged.",
    )
    parser.add_argument("stores", type=Path, nargs="+", metavar="STORE", help="store.json that `import` wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the stores, under their names")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.data.disagreements import reconcile  # noqa: PLC0415
    from training.data.store import read_store, write_store  # noqa: PLC0415

    stores = [read_store(path) for path in args.stores]
    names = [store.name for store in stores]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two stores are called {twice[0]}; import one again with another --name")
    made, overlaps = reconcile(stores)
    for store in made:
        write_store(store, args.out / f"{store.name}.json")
    figures = sum(len(p.boxes()) for store in stores for p in store)
    left = sum(len(p.boxes()) for store in made for p in store)
    print(f"{len(overlaps)} overlaps; {figures - left} of {figures} figures are ambiguous now; stores in {args.out}")
