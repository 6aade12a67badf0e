"""`reproduce`: the study's whole grid, its tables, figures and verdicts."""

import argparse
from pathlib import Path

from serving.wsi.modelcard import RESEARCH_USE
from training.cli.arguments import add_init, read_init


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "reproduce",
        help="train the grid of Ji et al. and write Tables 2 to 9, Figures 2 and 3 and a verdict on each trend",
        description="A run that was stopped, by whatever, goes on where it was when the same command is given again.",
    )
    parser.add_argument(
        "--scale",
        choices=("tiny", "small", "paper"),
        required=True,
        help="tiny: generated tissue, minutes; small: real crops and a simulated crowd; paper: your store, GPUs",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for data, trainings and the report")
    parser.add_argument("--workers", type=int, default=1, help="trainings at once; a cluster runs as many as fit")
    parser.add_argument(
        "--address",
        help="Ray cluster whose machines share --out, or `local` for one on this machine: trainings are its tasks",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split by patient")
    add_init(parser, otherwise="the scale's own")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.paper.cells import Places  # noqa: PLC0415
    from training.paper.reproduce import reproduce  # noqa: PLC0415

    places = Places(args.workers, args.address)
    for verdict in reproduce(args.scale, args.out, initial=read_init(args.init), places=places, seed=args.seed):
        print(f"{verdict.verdict:14} {verdict.trend}: {verdict.difference:+.3f} ({verdict.measure})")
    print(RESEARCH_USE)
