"""`measure-release`: what a released cascade does on the labelled fields, in other arithmetic and without screening."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "measure-release",
        help="score the labelled fields with released models, in other arithmetic and without screening",
        description=(
            "Scores the labelled fields of MITOSIS_DATA by every way in turn, float32 first. Prints how far scores move, "
            "precision, recall and F1 at the released threshold and at each way's best, and processor time."
        ),
    )
    parser.add_argument("version", help="e.g. 1.2.0, which every model has")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--provider", action="append", default=[], help="beside float32, e.g. CPU-int8; repeatable")
    parser.add_argument("--everywhere", action="store_true", help="also show Det every sub-tile: minutes a field")
    parser.add_argument("--fields", type=int, default=9, help="so many of the nine fields")
    parser.add_argument(
        "--as",
        dest="new",
        metavar="VERSION",
        help="publish the same weights as this version, with cards that state the figures and a count calibration",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.data.icpr2012 import read_fields  # noqa: PLC0415
    from training.data.root import data_root  # noqa: PLC0415
    from training.evaluation.cascade_figures import described, score_fields  # noqa: PLC0415
    from training.export.restating import restate  # noqa: PLC0415

    fields = read_fields(data_root())[: args.fields]
    figures = score_fields(args.models, args.version, fields, args.provider, everywhere=args.everywhere)
    for lines in described(figures):
        print(lines)
    if args.new:
        restate(args.models, args.version, args.new, figures, fields)
