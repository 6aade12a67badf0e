"""`aggregate`: label records become a data set to train on."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from serving.wsi.modelcard import RESEARCH_USE
from training.data.store import read_store, write_store
from training.labels.aggregate import aggregate, summary_lines
from training.labels.consensus import RULES
from training.labels.records import read_records


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("aggregate", help="turn label records into a data set with agreement")
    parser.add_argument("records", type=Path, help=".csv or .jsonl, see docs/labels.md")
    parser.add_argument("--store", type=Path, required=True, help="JSON file of the tiles that were labelled")
    parser.add_argument("--how", choices=sorted(RULES), required=True, help="whose records count, and by which rule")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the labelled tiles")
    parser.add_argument("--min-reviewers", type=int, help="labelers who must have looked at a tile")
    parser.add_argument("--min-labelers", type=int, help="of them, those who must have boxed a place")
    parser.add_argument("--above-iou", type=float, help="overlap above which boxes mean one place; 0: any")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    given: dict[str, Any] = {name: getattr(args, name) for name in ("min_reviewers", "min_labelers", "above_iou")}
    rule = replace(RULES[args.how], **{name: value for name, value in given.items() if value is not None})
    tiles = read_store(args.store)
    labelled = aggregate(tiles, read_records(args.records, tiles.pictures), rule)
    write_store(labelled, args.out)
    print("\n".join([*summary_lines(labelled), f"wrote {args.out}. {RESEARCH_USE}"]))
