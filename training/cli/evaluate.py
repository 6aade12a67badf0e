"""`evaluate`: a run, or a folder of exported models, on a store of labelled pictures."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "evaluate",
        help="judge a run or exported models on a store: rates, curves, mAP, F1, intervals, an HTML report",
        description="Pictures of patients that the run learnt from or validated on are left out. Models that place boxes "
        "also score whole pictures, by the very code that serves.",
    )
    parser.add_argument(
        "run_folder",
        metavar="RUN",
        type=Path,
        help="run of `train` or `fit`, or a folder of <name>/<version>/card.json",
    )
    parser.add_argument("--data", type=Path, required=True, help="store.json that `import` wrote")
    parser.add_argument(
        "--rule", choices=("centre", "any", "r_min"), default="centre", help="which sub-tiles are positive"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for summary.json, report.html and figures")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.evaluation.evaluate import evaluate  # noqa: PLC0415

    evaluate(args.run_folder, args.data, args.out, rule=args.rule)
