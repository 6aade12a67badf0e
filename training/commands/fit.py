"""`fit`: train the cascade that Mitoserve ships."""

import argparse
from pathlib import Path

from training.arguments import add_held_out_cases


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("fit", help="train Reg-NS and Det on one trunk by an experiment file")
    parser.add_argument("experiment", type=Path, help="TOML file, see training/experiments")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, weights and log")
    parser.add_argument("--hold-out", nargs="*", default=[], help="slides kept out of training, e.g. A00")
    parser.add_argument("--imagenet", type=Path, help="safetensors file of ResNet50 v1 under torchvision's names")
    parser.add_argument("--start", type=Path, help="model.pt of a run to start from")
    parser.add_argument("--trunk", type=Path, help="model.pt of `fit-verifier` whose stages 1 to 3 to start from")
    add_held_out_cases(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.fit import run  # noqa: PLC0415

    run(
        args.experiment,
        args.out,
        hold_out=args.hold_out,
        hold_out_cases=args.hold_out_cases,
        imagenet=args.imagenet,
        start=args.start,
        trunk=args.trunk,
    )
