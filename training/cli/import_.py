"""`python -m training import`: a published data set becomes a store."""

from pathlib import Path

import click

from serving.core.words import RESEARCH_USE
from serving.datasets.formats import import_dataset
from serving.datasets.readers.classes import ClassNames
from serving.datasets.readers.registry import FORMATS
from serving.datasets.readers.source import Source
from serving.datasets.store import write_store
from training.cli.options import A_PATH


class _Listing(click.Command):
    """A command whose help ends with the formats, a line each."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See Click."""
        width = max(len(name) for name in FORMATS) + 2
        with formatter.section("Formats"):
            for name, layout in FORMATS.items():
                formatter.write(f"  {name:{width}}{layout.summary}\n")
        formatter.write_text(f"docs/datasets.md says more of each. {RESEARCH_USE}")


@click.command("import", cls=_Listing)
@click.argument("format_name", metavar="FORMAT")
@click.argument("path", type=A_PATH)
@click.option("--out", type=A_PATH, required=True, help="JSON file of the store")
@click.option("--images", type=A_PATH, help="folder of the pictures; by default PATH, or the folder that holds it")
@click.option("--name", help="of the data set; by default that of PATH")
@click.option("--licence", help="of the data set, in place of what is known of the format")
@click.option("--mpp", type=float, help="um/px of all pictures, in place of what they state")
@click.option(
    "--mpp-of",
    multiple=True,
    metavar="SLIDE=UM",
    help="um/px of one slide's pictures, in place of what they state; repeatable",
)
@click.option("--mitotic", multiple=True, metavar="NAME", help="one more class that means a mitotic figure")
@click.option("--look-alike", multiple=True, metavar="NAME", help="one more class that means a look-alike")
def command(
    *,
    format_name: str,
    path: Path,
    out: Path,
    images: Path | None,
    name: str | None,
    licence: str | None,
    mpp: float | None,
    mpp_of: tuple[str, ...],
    mitotic: tuple[str, ...],
    look_alike: tuple[str, ...],
) -> None:
    """Turn a published data set into a store that training reads, and say what was taken, clipped and dropped, and why.

    PATH is an annotation file, or the folder of a data set.
    """
    if mpp is not None and not 0 < mpp < float("inf"):
        raise ValueError(f"--mpp is {mpp:g}; give um/px, e.g. 0.25")
    source = Source(
        path=path,
        images=images or (path if path.is_dir() else path.parent),
        name=name or path.stem.lower(),
        licence=licence or FORMATS[format_name].licence,
        mpp=mpp,
        mpp_of=dict(_resolution(given) for given in mpp_of),
        classes=ClassNames().with_more(mitotic=list(mitotic), look_alike=list(look_alike)),
    )
    dataset, report = import_dataset(format_name, source)
    write_store(dataset, out)
    print("\n".join(report.lines()))
    print(f"{out}: {len(dataset.pictures)} pictures of {dataset.name!r}, licence: {dataset.licence}")
    print(RESEARCH_USE)


def _resolution(given: str) -> tuple[str, float]:
    """SLIDE=UM as a slide and its um/px; raises `ValueError` if it is none."""
    slide, _, number = given.rpartition("=")
    try:
        mpp = float(number)
    except ValueError:
        mpp = 0.0
    if not slide or not 0 < mpp < float("inf"):
        raise ValueError(f"--mpp-of is {given}; give a slide and um/px, e.g. Case_12=0.25")
    return slide, mpp
