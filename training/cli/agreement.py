"""`agreement`: how well labelers agree, beside the paper's Table 3."""

import csv
from pathlib import Path

import click

from serving.core.words import RESEARCH_USE
from training.cli.options import A_PATH
from training.labels.agreement import agreement, agreement_table, csv_rows
from training.labels.records import read_records


@click.command()
@click.argument("records", type=A_PATH)
@click.option("--out", type=A_PATH, help="folder for agreement.md and agreement.csv")
def command(records: Path, out: Path | None) -> None:
    """Agreement, speed and accuracy of labelers (the paper's Table 3) from their RECORDS, .csv or .jsonl."""
    found = agreement(read_records(records))
    if not found:
        raise ValueError(f"{records}: no records")
    text = f"{agreement_table(found).markdown()}\n{RESEARCH_USE}\n"
    print(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "agreement.md").write_text(text, encoding="utf-8")
        with (out / "agreement.csv").open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows(csv_rows(found))
