"""`simulate-labels`: generated tiles with the records that simulated labelers left."""

from pathlib import Path

import click

from serving.core.words import RESEARCH_USE
from training.cli.options import A_PATH
from training.labels.simulated import Campaign, simulate

_DEFAULT = Campaign()


@click.command()
@click.option("--out", type=A_PATH, required=True, help="folder for tiles, stores and records.csv")
@click.option("--slides", type=int, default=_DEFAULT.slides, show_default=True, help="one a patient")
@click.option("--tiles", type=int, default=_DEFAULT.tiles, show_default=True, help="of each slide")
@click.option("--seed", type=int, default=_DEFAULT.seed, show_default=True)
def command(out: Path, slides: int, tiles: int, seed: int) -> None:
    """Draw tiles and records of simulated labelers."""
    records = simulate(Campaign(slides=slides, tiles=tiles, seed=seed), out)
    print(f"wrote {slides * tiles} tiles and {len(records):,} records to {out}")
    print(f"The labelers are simulated: their figures say nothing of people. {RESEARCH_USE}")
