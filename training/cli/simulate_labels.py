"""`simulate-labels`: generated tiles with the records that simulated labelers left."""

import argparse
from pathlib import Path

from serving.wsi.modelcard import RESEARCH_USE
from training.labels.simulated import Campaign, simulate


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    default = Campaign()
    parser = commands.add_parser("simulate-labels", help="draw tiles and records of simulated labelers")
    parser.add_argument("--out", type=Path, required=True, help="folder for tiles, stores and records.csv")
    parser.add_argument("--slides", type=int, default=default.slides, help="one a patient")
    parser.add_argument("--tiles", type=int, default=default.tiles, help="of each slide")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    records = simulate(Campaign(slides=args.slides, tiles=args.tiles, seed=args.seed), args.out)
    print(f"wrote {args.slides * args.tiles} tiles and {len(records):,} records to {args.out}")
    print(f"The labelers are simulated: their figures say nothing of people. {RESEARCH_USE}")
