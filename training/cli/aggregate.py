"""`aggregate`: label records become a data set to train on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from serving.core.words import RESEARCH_USE
from serving.datasets.store import read_store, write_store
from training.cli.options import A_PATH
from training.labels.consensus import RULES, aggregate, summary_lines
from training.labels.records import read_records


@click.command()
@click.argument("records", type=A_PATH)
@click.option("--store", type=A_PATH, required=True, help="JSON file of the tiles that were labelled")
@click.option("--how", type=click.Choice(sorted(RULES)), required=True, help="whose records count, and by which rule")
@click.option("--out", type=A_PATH, required=True, help="JSON file for the labelled tiles")
@click.option("--min-reviewers", type=int, help="labelers who must have looked at a tile")
@click.option("--min-labelers", type=int, help="of them, those who must have boxed a place")
@click.option("--above-iou", type=float, help="overlap above which boxes mean one place; 0: any")
def command(records: Path, store: Path, how: str, out: Path, **given: Any) -> None:
    """Turn label RECORDS (.csv or .jsonl, see docs/labels.md) into a data set with agreement."""
    rule = replace(RULES[how], **{name: value for name, value in given.items() if value is not None})
    tiles = read_store(store)
    labelled = aggregate(tiles, read_records(records, tiles.pictures), rule)
    write_store(labelled, out)
    print("\n".join([*summary_lines(labelled), f"wrote {out}. {RESEARCH_USE}"]))
