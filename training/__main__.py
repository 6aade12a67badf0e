"""`python -m training`: fit, judge and release the models that Mitoserve serves."""

import argparse
import sys
from pathlib import Path

from training.commands import aggregate, agreement, audit, simulate_labels

COMMANDS = (aggregate, agreement, audit, simulate_labels)


def main() -> None:
    """Run the command that the arguments name."""
    args = _parser().parse_args()
    try:
        run = args.run if "run" in args else _COMMANDS[args.command]
        run(args)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    fit = commands.add_parser("fit", help="train Reg-NS and Det by an experiment file")
    fit.add_argument("experiment", type=Path, help="TOML file, see training/experiments")
    fit.add_argument("--out", type=Path, required=True, help="folder for checkpoints, weights and log")
    fit.add_argument("--hold-out", nargs="*", default=[], help="slides kept out of training, e.g. A00")
    fit.add_argument("--imagenet", type=Path, help="safetensors file of ResNet50 v1 under torchvision's names")
    fit.add_argument("--start", type=Path, help="model.pt of a run to start from")

    loso = commands.add_parser("leave-one-slide-out", help="judge the runs RUNS/without-<slide> on their slides")
    loso.add_argument("runs", type=Path)
    loso.add_argument("--out", type=Path, required=True, help="JSON file for the figures, which `release` reads")

    release = commands.add_parser("release", help="export weights to models/<name>/<version>")
    release.add_argument("weights", type=Path, help="model.pt of the run to ship")
    release.add_argument("--evaluation", type=Path, required=True, help="JSON file of leave-one-slide-out")
    release.add_argument("--models", type=Path, default=Path("models"))
    release.add_argument("--version", required=True, help="semantic version, e.g. 1.0.0")

    judge = commands.add_parser("evaluate-slide", help="compare a served report with the truth")
    judge.add_argument("report", type=Path, help="report.json")
    judge.add_argument("truth", type=Path, help="JSON with mitotic_figures: [[x1, y1, x2, y2], ...], level-0 px")

    for module in COMMANDS:
        module.add_parser(commands)
    return parser


def _fit(args: argparse.Namespace) -> None:
    from training.fit import run  # noqa: PLC0415

    run(args.experiment, args.out, hold_out=args.hold_out, imagenet=args.imagenet, start=args.start)


def _leave_one_slide_out(args: argparse.Namespace) -> None:
    from training.loso import leave_one_slide_out  # noqa: PLC0415

    leave_one_slide_out(args.runs, args.out)


def _release(args: argparse.Namespace) -> None:
    from training.export.release import release  # noqa: PLC0415

    release(args.weights, args.evaluation, args.models, args.version)


def _evaluate_slide(args: argparse.Namespace) -> None:
    from training.evaluate import evaluate_slide, print_rates  # noqa: PLC0415

    print_rates(evaluate_slide(args.report, args.truth))


# Imports of torch wait for the command that needs them: `--help` and `evaluate-slide` stay quick.
_COMMANDS = {
    "fit": _fit,
    "leave-one-slide-out": _leave_one_slide_out,
    "release": _release,
    "evaluate-slide": _evaluate_slide,
}

if __name__ == "__main__":
    main()
