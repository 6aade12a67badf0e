"""`fit-screening`: train the Reg-NS that sees whole tiles."""

import argparse
from pathlib import Path

from training.cli.arguments import add_experiment


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "fit-screening", help="train a Reg-NS that sees a whole tile at once by an experiment file"
    )
    add_experiment(parser)
    parser.add_argument("--start", type=Path, required=True, help="model.pt of `fit`, whose stages 1 to 3 stay")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.recipes.fit_screening import run  # noqa: PLC0415

    run(args.experiment, args.out, hold_out_cases=args.hold_out_cases, start=args.start)
