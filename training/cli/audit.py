"""`audit`: experts look at a random sample of labelled tiles, and their answers become figures and corrections."""

from pathlib import Path

import click

from serving.core.words import RESEARCH_USE
from serving.datasets.store import read_store, write_store
from training.cli.options import A_PATH
from training.labels.audit.answers import read_audit
from training.labels.audit.audit_sample import draw_audit
from training.labels.audit.sheet import ANSWERS_FILE, write_sheet


@click.group()
def command() -> None:
    """Let experts confirm, reject and add boxes in a random sample."""


@command.command()
@click.argument("store", type=A_PATH)
@click.option("--tiles", type=int, default=500, show_default=True, help="of 1,000 px; 500 as in the paper")
@click.option("--seed", type=int, default=0)
@click.option("--out", type=A_PATH, required=True, help="folder for the sheet")
def draw(store: Path, tiles: int, seed: int, out: Path) -> None:
    """Draw tiles of labelled pictures (STORE) and write a sheet to fill in."""
    dataset = read_store(store)
    audit = draw_audit(dataset, store, tiles=tiles, seed=seed)
    write_sheet(audit, dataset, out)
    boxes = sum(len(tile.boxes) for tile in audit.tiles)
    print(f"drew {len(audit.tiles):,} tiles with {boxes:,} boxes")
    print(f"open {out / 'sheet.html'}, fill in {out / ANSWERS_FILE}, then: audit read {out}")
    print(RESEARCH_USE)


@command.command()
@click.argument("folder", type=A_PATH)
@click.option("--out", type=A_PATH, help="JSON file for the corrected data set")
def read(folder: Path, out: Path | None) -> None:
    """Read the filled sheet in FOLDER."""
    result, dataset = read_audit(folder)
    print("\n".join([*result.lines(), RESEARCH_USE]))
    if out is not None:
        write_store(dataset, out)
        print(f"wrote {out}")
