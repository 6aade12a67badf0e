"""`python -m training import`: a published data set becomes a store."""

import argparse
from pathlib import Path

from serving.wsi.modelcard import RESEARCH_USE
from training.data.formats import import_dataset
from training.data.readers.classes import ClassNames
from training.data.readers.registry import FORMATS
from training.data.readers.source import Source
from training.data.store import write_store


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to `argparse`'s subparsers."""
    width = max(len(name) for name in FORMATS) + 2
    listed = "\n".join(f"  {name:{width}}{layout.summary}" for name, layout in FORMATS.items())
    parser = commands.add_parser(
        "import",
        help="turn a published data set into a store that training reads",
        description="Turn a published data set into a store, and say what was taken, clipped and dropped, and why.",
        epilog=f"formats:\n{listed}\n\ndocs/datasets.md says more of each. {RESEARCH_USE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help="one of the formats below")
    parser.add_argument("path", type=Path, metavar="PATH", help="annotation file, or folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the store")
    parser.add_argument(
        "--images", type=Path, help="folder of the pictures; by default PATH, or the folder that holds it"
    )
    parser.add_argument("--name", help="of the data set; by default that of PATH")
    parser.add_argument("--licence", help="of the data set, in place of what is known of the format")
    parser.add_argument("--mpp", type=float, help="um/px of all pictures, in place of what they state")
    parser.add_argument(
        "--mpp-of",
        action="append",
        default=[],
        metavar="SLIDE=UM",
        help="um/px of one slide's pictures, in place of what they state; repeatable",
    )
    parser.add_argument(
        "--mitotic", action="append", default=[], metavar="NAME", help="one more class that means a mitotic figure"
    )
    parser.add_argument(
        "--look-alike", action="append", default=[], metavar="NAME", help="one more class that means a look-alike"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    """Import by the command's arguments, write the store and print the report.

    Raises
    ------
    FormatError, FileNotFoundError
        If the source is not there, or not laid out as the format says.
    ValueError
        If an option makes no sense.
    """
    if args.mpp is not None and not 0 < args.mpp < float("inf"):
        raise ValueError(f"--mpp is {args.mpp:g}; give um/px, e.g. 0.25")
    source = Source(
        path=args.path,
        images=args.images or (args.path if args.path.is_dir() else args.path.parent),
        name=args.name or args.path.stem.lower(),
        licence=args.licence or FORMATS[args.format].licence,
        mpp=args.mpp,
        mpp_of=dict(_resolution(given) for given in args.mpp_of),
        classes=ClassNames().with_more(mitotic=args.mitotic, look_alike=args.look_alike),
    )
    dataset, report = import_dataset(args.format, source)
    write_store(dataset, args.out)
    print("\n".join(report.lines()))
    print(f"{args.out}: {len(dataset.pictures)} pictures of {dataset.name!r}, licence: {dataset.licence}")
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
