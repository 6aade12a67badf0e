"""`fit-verifier`: train the model that judges candidates."""

import argparse
from pathlib import Path

from training.arguments import add_held_out_cases


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser("fit-verifier", help="train the verifier by an experiment file")
    parser.add_argument("experiment", type=Path, help="TOML file, e.g. training/experiments/verifier-crops.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, weights and log")
    parser.add_argument("--hold-out", nargs="*", default=[], help="slides kept out of training, e.g. A00")
    parser.add_argument("--imagenet", type=Path, help="safetensors file of ResNet50 v1 under torchvision's names")
    parser.add_argument("--start", type=Path, help="model.pt of a run to start from")
    add_held_out_cases(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.fit_verifier import run  # noqa: PLC0415

    run(
        args.experiment,
        args.out,
        hold_out=args.hold_out,
        hold_out_cases=args.hold_out_cases,
        imagenet=args.imagenet,
        start=args.start,
    )
