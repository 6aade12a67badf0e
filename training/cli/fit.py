"""`fit`: train the cascade that Mitoserve ships."""

import argparse
from pathlib import Path

from training.cli.arguments import add_beginning, add_experiment


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("fit", help="train Reg-NS and Det on one trunk by an experiment file")
    add_experiment(parser)
    add_beginning(parser)
    parser.add_argument("--trunk", type=Path, help="model.pt of `fit-verifier` whose stages 1 to 3 to start from")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.recipes.beginning import Beginning  # noqa: PLC0415
    from training.recipes.fit import run  # noqa: PLC0415

    beginning = Beginning(args.imagenet, args.start, args.hold_out, args.hold_out_cases)
    run(args.experiment, args.out, beginning, trunk=args.trunk)
