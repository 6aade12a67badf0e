"""`agreement`: how well labelers agree, beside the paper's Table 3."""

import argparse
import csv
from pathlib import Path

from serving.wsi.modelcard import RESEARCH_USE
from training.labels.agreement import agreement, agreement_table, csv_rows
from training.labels.records import read_records


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("agreement", help="agreement, speed and accuracy of labelers (the paper's Table 3)")
    parser.add_argument("records", type=Path, help=".csv or .jsonl, see docs/labels.md")
    parser.add_argument("--out", type=Path, help="folder for agreement.md and agreement.csv")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    found = agreement(read_records(args.records))
    if not found:
        raise ValueError(f"{args.records}: no records")
    text = f"{agreement_table(found).markdown()}\n{RESEARCH_USE}\n"
    print(text)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "agreement.md").write_text(text, encoding="utf-8")
        with (args.out / "agreement.csv").open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(csv_rows(found))
