"""The report of a reproduction: report.md, a CSV a table, and the figures."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset
from training.data.sampling import Split
from training.data.sub_tiles import PositiveRule, SubTileTable, make_sub_tiles, positives
from training.labels.agreement import agreement, agreement_table
from training.labels.records import read_records
from training.labels.table import Table
from training.paper.figures import draw_figures
from training.paper.grid import Sizes
from training.paper.outcome import Seeds
from training.paper.scale_data import RECORDS
from training.paper.scales import Scale
from training.paper.tables import tables
from training.paper.verdicts import TrendVerdict, verdicts

RULES: tuple[PositiveRule, ...] = ("centre", "any")
"""When a sub-tile is mitotic: the rule that the paper's test counts fit, and the one it trains by. Figures show the first."""


@dataclass(frozen=True, slots=True)
class JudgedOutcomes:
    """Outcomes of the grid on the `chosen` sub-tiles of the test pictures, intp, (N,)."""

    seeds: Seeds
    test: SubTileTable
    chosen: NDArray[np.intp]

    def patients(self) -> NDArray[np.intp]:
        """A number for the patient of each chosen sub-tile, (N,)."""
        _, number = np.unique([p.patient for p in self.test.pictures], return_inverse=True)
        return number[self.test.picture[self.chosen]]


def write_report(
    out: Path, scale: Scale, sizes: Sizes, split: Split, *, dataset: Dataset, judged: JudgedOutcomes
) -> list[TrendVerdict]:
    """Write the report to `out`; the verdicts by the first rule."""
    summary = _summary(split)
    parts = [_head(scale, dataset, len(judged.seeds)), summary.markdown()]
    _write_csv(out / "table-2.csv", summary)
    records = Path(dataset.root) / RECORDS
    if records.is_file():
        labelling = agreement_table(agreement(read_records(records)))
        parts.append(labelling.markdown())
        _write_csv(out / "table-3.csv", labelling)
    else:
        parts.append(f"Table 3 needs what each labeler said: no {RECORDS} beside the store.\n")
    by_rule = {rule: positives(judged.test, rule)[judged.chosen] for rule in RULES}
    found = {rule: verdicts(judged.seeds, positive, judged.patients(), sizes) for rule, positive in by_rule.items()}
    for rule, positive in by_rule.items():
        parts.append(f"## A sub-tile is mitotic by the rule `{rule}`: {positive.sum():,} of {len(positive):,}\n")
        for table in tables(judged.seeds, positive, sizes):
            parts.append(table.markdown())
            _write_csv(out / f"table-{table.number.strip('()')}-{rule}.csv", table)
        parts.append(_verdict_table(found[rule]).markdown())
        _write_csv(out / f"verdicts-{rule}.csv", _verdict_table(found[rule]))
    figures = draw_figures(judged.seeds, by_rule[RULES[0]], sizes, out)
    parts += [f"![{path.stem}]({path.name})\n" for path in figures]
    # Written last, and whole: the mark of a finished reproduction.
    part = out / "report.part"
    part.write_text("\n".join(parts))
    part.replace(out / "report.md")
    return found[RULES[0]]


def _head(scale: Scale, dataset: Dataset, seeds: int) -> str:
    drawn = "" if scale.test_negatives is None else (
        f" Models are judged on every test sub-tile that holds some of a figure and on {scale.test_negatives:,} drawn from "
        "those that hold nothing: rates are estimates of those over all sub-tiles."
    )  # fmt: skip
    repeated = f" Each training was run with {seeds} seeds; rates are means over them." if seeds > 1 else ""
    return (
        f"# The study of Ji et al., scale `{scale.name}`\n\n{scale.about[0].upper()}{scale.about[1:]}.\n\n"
        f"Data: {dataset.name}. Cells are TPR/FPR of sub-tiles in per cent, the paper's in brackets: its labels were not "
        f"released, so compare trends, never figures.{drawn}{repeated} {RESEARCH_USE}\n"
    )


def _summary(split: Split) -> Table:
    """Table 2 for our data."""
    rows = []
    for name in ("train", "validation", "test"):
        pictures = getattr(split, name)
        table = make_sub_tiles(pictures)
        rows.append(
            (
                name,
                str(len({p.patient for p in pictures})),
                str(len(pictures)),
                f"{len(table.boxes):,}",
                f"{len(table):,}",
                f"{int((table.scores > 0).sum()):,}",
            )
        )
    header = ("part", "patients", "pictures", "events", "sub-tiles", "with some of an event")
    return Table("2", "labelled data", header, tuple(rows))


def _verdict_table(found: Sequence[TrendVerdict]) -> Table:
    rows = tuple(
        (v.trend, v.measure, f"{v.difference:+.3f}", f"{v.interval[0]:+.3f} to {v.interval[1]:+.3f}", v.verdict)
        for v in found
    )
    return Table(
        "of trends", "the paper's, in our figures", ("trend", "measure", "ours", "95 % interval", "verdict"), rows
    )


def _write_csv(path: Path, table: Table) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(table.csv_rows())
