"""`measure-release`: what a released cascade does on labelled fields, in other arithmetic and without screening."""

from pathlib import Path

import click

from training.cli.options import A_PATH, WithLists, data_option


@click.command(cls=WithLists)
@click.argument("version")
@data_option("labelled fields")
@click.option("--models", type=A_PATH, default=Path("models"), show_default=True)
@click.option("--provider", multiple=True, help="beside float32, e.g. CPU-int8; repeatable")
@click.option("--everywhere", is_flag=True, help="also show Det every sub-tile: minutes a field")
@click.option("--fields", type=int, help="so many of the fields; by default all")
@click.option(
    "--as",
    "new",
    metavar="VERSION",
    help="publish the same weights as this version, with cards that state the figures and a count calibration",
)
def command(
    *,
    version: str,
    data: tuple[Path, ...],
    models: Path,
    provider: tuple[str, ...],
    everywhere: bool,
    fields: int | None,
    new: str | None,
) -> None:
    """Score labelled fields with the released models of VERSION by every way in turn, float32 first.

    VERSION, e.g. 1.2.0, is one that every model has.
    Prints how far scores move, precision, recall and F1 at the released threshold and at each way's best, and processor time.
    """
    from training.data.combined_stores import read_stores  # noqa: PLC0415
    from training.evaluation.cascade_figures import describe_figures, score_pictures  # noqa: PLC0415
    from training.export.restate import restate  # noqa: PLC0415

    dataset = read_stores(data)
    pictures = [p for p in dataset if p.labelled][:fields]
    figures = score_pictures(models, version, pictures, Path(dataset.root), provider, everywhere=everywhere)
    for lines in describe_figures(figures):
        print(lines)
    if new:
        restate(models, version, new, figures, pictures, data=dataset.name)
