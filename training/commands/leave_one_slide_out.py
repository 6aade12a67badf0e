"""`leave-one-slide-out`: judge the cascade on slides that it never saw."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("leave-one-slide-out", help="judge the runs RUNS/without-<slide> on their slides")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the figures, which `release` reads")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.loso import leave_one_slide_out  # noqa: PLC0415

    leave_one_slide_out(args.runs, args.out)
