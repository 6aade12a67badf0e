"""`fit-verifier`: train the model that judges candidates."""

import argparse

from training.cli.arguments import add_beginning, add_experiment


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("fit-verifier", help="train the verifier by an experiment file")
    add_experiment(parser)
    add_beginning(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.recipes.beginning import Beginning  # noqa: PLC0415
    from training.recipes.fit_verifier import run  # noqa: PLC0415

    run(args.experiment, args.out, Beginning(args.imagenet, args.start, args.hold_out, args.hold_out_cases))
