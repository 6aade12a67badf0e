"""`leave-one-slide-out`: judge the cascade on slides that it never saw."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("leave-one-slide-out", help="judge a cascade on slides that it never saw")
    parser.add_argument("cascades", type=Path, help="run of `fit`, or folder of runs without-<slide>")
    parser.add_argument(
        "--verifier", type=Path, action="append", default=[], help="the same of `fit-verifier`; repeatable"
    )
    parser.add_argument(
        "--screening",
        type=float,
        nargs="+",
        required=True,
        help="Reg-NS scores to try as the one from which Det looks at a sub-tile",
    )
    parser.add_argument(
        "--screener",
        type=Path,
        help="the same of `fit-screening`; without it the cascade's own Reg-NS screens, sub-tile by sub-tile",
    )
    parser.add_argument(
        "--provider", default="CPUExecutionProvider", help="execution provider to judge them on, e.g. OpenVINO-bf16"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures, which `release` reads")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.evaluation.leave_one_slide_out import leave_one_slide_out  # noqa: PLC0415

    leave_one_slide_out(
        args.cascades, args.verifier, args.out, screening=args.screening, screener=args.screener, provider=args.provider
    )
