"""`cross-validate`: judge detections of left-out groups, with threshold and calibration of the other groups."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "cross-validate",
        help="judge detections of left-out groups, with threshold and calibration of the other groups",
        description="Refuses detections by weights that saw a patient whom they are to judge. Writes judgement.json, "
        "judgement.md and judgement.png.",
    )
    parser.add_argument("detections", type=Path, nargs="+", metavar="FOLD", help="JSON file of a fold's detections")
    parser.add_argument("--data", type=Path, action="append", required=True, help="store.json; repeatable")
    parser.add_argument("--rule", default="flat-f1", help="how the threshold is chosen on the other groups")
    parser.add_argument("--calibration", default="automatic", help="which calibration, or `automatic`")
    parser.add_argument("--title", default="Cross-validation by group", help="of the page")
    parser.add_argument("--out", type=Path, required=True, help="folder for the judgement")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.evaluation.cross_validate import cross_validate  # noqa: PLC0415

    cross_validate(args.data, args.detections, args.out, rule=args.rule, calibration=args.calibration, title=args.title)
