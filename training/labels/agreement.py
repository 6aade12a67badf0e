"""How well labelers agree, how fast they are, and how often they are with the majority (paper, Table 3)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isnan
from statistics import median

import numpy as np
from numpy.typing import NDArray

from training.labels.records import BinaryRecord, Group, Record, Task
from training.labels.table import Table

PAPER = {("expert", "binary"): (0.709, 2.7, 0.89), ("expert", "boxes"): (0.618, 39.0, 0.88)}
"""Kappa, seconds and accuracy of Table 3."""
TASKS = {"binary": "binary classification", "boxes": "bounding box placement"}
_REFERENCE_PX = 1000
"""Side of the tile for which the times of both tasks are compared (paper, Section 4.1)."""


@dataclass(frozen=True, slots=True)
class LabelerAgreement:
    """One group's figures in one task; NaN where undefined.

    tiles_px : the sides of the tiles that were shown; labelers, tiles, looks : how many
    kappa : Fleiss', of whether a tile shows a mitotic figure
    seconds : median of the looks; for_reference : the same for an area of 1,000 x 1,000 px
    accuracy : share of a labeler's tiles on which they are with the majority, mean over labelers
    """

    group: Group
    task: Task
    tiles_px: tuple[int, ...]
    labelers: int
    tiles: int
    looks: int
    kappa: float
    seconds: float
    for_reference: float
    accuracy: float


def agreement(records: Sequence[Record]) -> list[LabelerAgreement]:
    """The figures of each group and task that the records hold, in the order of the alphabet."""
    parts: dict[tuple[Group, Task], list[Record]] = defaultdict(list)
    for record in records:
        parts[record.group, record.task].append(record)
    return [_measure_agreement(group, task, looks) for (group, task), looks in sorted(parts.items())]


def _measure_agreement(group: Group, task: Task, looks: Sequence[Record]) -> LabelerAgreement:
    said: dict[str, dict[str, bool]] = defaultdict(dict)
    for look in looks:
        said[look.tile][look.labeler] = look.answer if isinstance(look, BinaryRecord) else bool(look.boxes)
    counts = np.asarray([(len(s) - sum(s.values()), sum(s.values())) for s in said.values()], np.int64)
    timed = [(look.seconds, look.seconds * (_REFERENCE_PX / look.tile_px) ** 2) for look in looks if look.seconds]
    return LabelerAgreement(
        group,
        task,
        tuple(sorted({look.tile_px for look in looks})),
        len({look.labeler for look in looks}),
        len(said),
        len(looks),
        fleiss_kappa(counts),
        median(seconds for seconds, _ in timed) if timed else float("nan"),
        median(seconds for _, seconds in timed) if timed else float("nan"),
        _accuracy(list(said.values())),
    )


def fleiss_kappa(counts: NDArray[np.int64]) -> float:
    """Agreement beyond chance of raters who put subjects into categories (Fleiss, 1971).

    kappa = (P - P_e) / (1 - P_e). P: of a subject, the share of pairs of its raters who agree, mean over subjects. P_e:
    sum over categories of the squared share of ratings in it. Where subjects have unequal numbers of raters, shares are
    taken within a subject before the mean over subjects (Gwet, Handbook of Inter-Rater Reliability, 2014).

    counts : int64, shape (subjects, categories), raters who chose the category; subjects with one rater say nothing
        of agreement and are left out
    -> at most 1; NaN without subjects, or where all raters chose one category for all
    """
    counts = counts[counts.sum(1) > 1]
    if not len(counts):
        return float("nan")
    raters = counts.sum(1)
    observed = float(((counts * (counts - 1)).sum(1) / (raters * (raters - 1))).mean())
    chance = float(((counts / raters[:, None]).mean(0) ** 2).sum())
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _accuracy(said: Sequence[dict[str, bool]]) -> float:
    """Tiles with a tie have no majority, those with one labeler no other opinion: both are left out."""
    with_majority: dict[str, list[bool]] = defaultdict(list)
    for answers in said:
        positive = 2 * sum(answers.values()) - len(answers)
        if positive and len(answers) > 1:
            for labeler, answer in answers.items():
                with_majority[labeler].append(answer == (positive > 0))
    return float(np.mean([np.mean(right) for right in with_majority.values()])) if with_majority else float("nan")


def agreement_table(found: Sequence[LabelerAgreement]) -> Table:
    """Table 3 for our records, the paper's figures in brackets."""
    header = (
        "group",
        "task",
        "tile shown, px",
        "labelers",
        "tiles",
        "looks",
        "Fleiss kappa, presence",
        "median s",
        "s for 1,000 x 1,000 px",
        "mean accuracy",
    )
    return Table("3", "label acquisition, the paper's figures in brackets", header, tuple(_row(a) for a in found))


def _row(a: LabelerAgreement) -> tuple[str, ...]:
    kappa, seconds, accuracy = PAPER.get((a.group, a.task), (None, None, None))
    return (
        a.group,
        TASKS[a.task],
        ", ".join(f"{side:,}" for side in a.tiles_px),
        f"{a.labelers:,}",
        f"{a.tiles:,}",
        f"{a.looks:,}",
        _cell("{:.3f}", a.kappa, kappa),
        _cell("{:.1f}", a.seconds, seconds),
        _cell("{:.0f}", a.for_reference, None),
        _cell("{:.1%}", a.accuracy, accuracy),
    )


def _cell(form: str, ours: float, theirs: float | None) -> str:
    said = "n/a" if isnan(ours) else form.format(ours)
    return f"{said} ({form.format(theirs)})" if theirs is not None else said


def csv_rows(found: Sequence[LabelerAgreement]) -> list[tuple[object, ...]]:
    """The figures unrounded under their names, for `csv.writer`; empty where undefined or not in the paper."""
    names = [f.name for f in fields(LabelerAgreement)]
    rows: list[tuple[object, ...]] = [(*names, "paper_kappa", "paper_seconds", "paper_accuracy")]
    for a in found:
        values = {**asdict(a), "tiles_px": " ".join(map(str, a.tiles_px))}
        ours = ("" if isinstance(v, float) and isnan(v) else v for v in values.values())
        rows.append((*ours, *PAPER.get((a.group, a.task), ("", "", ""))))
    return rows
