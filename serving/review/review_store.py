"""The record of reviews in the database: rows are added, and go with their analysis alone."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select

from serving.core.errors import MitoserveError
from serving.core.report import Report
from serving.review.decisions import find_boxes
from serving.review.review_entry import Action, Box, ReviewEntry
from serving.review.verdicts import find_added_boxes
from serving.store.database import Database
from serving.store.tables import analyses, reviews

MAX_ENTRIES = 100_000
"""Of one analysis: more than anybody judges, few enough to be read at once."""
SAME_FIGURE_UM = 7.5
"""Two places that are nearer are one figure: the radius within which the MIDOG challenges match."""


class ReviewError(MitoserveError):
    """A review says something of an object that is not there, or of what is not the reviewer's."""

    slug = "malformed-request"


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """What a reviewer wants to record. See `ReviewEntry`."""

    author: str
    reviewer: str
    action: Action
    target: str = ""
    box: Box | None = None
    label: str | None = None
    reason: str = ""


class ReviewStore:
    """The reviews of all analyses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, analysis_id: str) -> list[ReviewEntry]:
        """Everything that was recorded of an analysis, in its order."""
        chosen = select(reviews).where(reviews.c.analysis == analysis_id).order_by(reviews.c.number)
        with self._database.reading() as tx:
            return [_entry(row) for row in tx.execute(chosen)]

    def record(self, analysis_id: str, change: ReviewChange, *, report: Report) -> ReviewEntry:
        """Add an entry and give it as it was recorded.

        report : of the analysis, as it was made

        Raises
        ------
        ReviewError
            If there is no such object or entry, the entry is another's or undone already, or the record is full; if what is
            to be added lies outside the slide, or is there already.
        """
        with self._database.writing() as tx:
            rows = tx.execute(select(reviews).where(reviews.c.analysis == analysis_id).order_by(reviews.c.number))
            entries = [_entry(row) for row in rows]
            if len(entries) >= MAX_ENTRIES:
                raise ReviewError(f"the record of this analysis has {MAX_ENTRIES} entries, which is the limit")
            if tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is None:
                raise ReviewError("the analysis was removed")
            _check(change, entries, report)
            x, y, width, height = change.box or (None, None, None, None)
            values = {"analysis": analysis_id, "at": time.time(), "author": change.author, "reviewer": change.reviewer}
            values |= {"action": change.action, "target": change.target, "label": change.label, "reason": change.reason}
            values |= {"x": x, "y": y, "width": width, "height": height}
            number = tx.execute(insert(reviews).values(values)).inserted_primary_key
            row = tx.execute(select(reviews).where(reviews.c.number == (number[0] if number else 0))).one()
            return _entry(row)


def _check(change: ReviewChange, entries: list[ReviewEntry], report: Report) -> None:
    if change.action == "undo":
        _check_undo(change, entries)
        return
    boxes = find_boxes(report, find_added_boxes(entries))
    if change.action == "add" and change.box is not None:
        _check_added(change.box, boxes, report)
    elif change.target not in boxes:
        raise ReviewError(f"target: the analysis has no object {change.target[:40]!r}")


def _check_added(box: Box, boxes: Mapping[str, Box], report: Report) -> None:
    """A figure is added once, and where there is a slide."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    if not (0 <= x < report.slide.width and 0 <= y < report.slide.height):
        raise ReviewError(
            f"box: its middle, {x:.0f}, {y:.0f}, is outside the slide of {report.slide.width} x {report.slide.height} px"
        )
    reach = SAME_FIGURE_UM / report.slide.mpp
    distances = {name: math.hypot(b[0] + b[2] / 2 - x, b[1] + b[3] / 2 - y) for name, b in boxes.items()}
    nearest = min(distances, key=lambda name: distances[name], default=None)
    if nearest is not None and distances[nearest] <= reach:
        raise ReviewError(f"box: {nearest} is there already; accept it, and the figure counts once")


def _check_undo(change: ReviewChange, entries: list[ReviewEntry]) -> None:
    undone = {entry.target for entry in entries if entry.action == "undo"}
    own = {
        str(entry.number)
        for entry in entries
        if entry.action != "undo" and entry.who == (change.author, change.reviewer)
    }
    if change.target not in own:
        raise ReviewError(f"target: no entry {change.target[:40]!r} of this reviewer's can be undone")
    if change.target in undone:
        raise ReviewError(f"target: entry {change.target[:40]!r} is undone already")


def _entry(row: Row[Any]) -> ReviewEntry:
    box = None if row.x is None else (row.x, row.y, row.width, row.height)
    return ReviewEntry(row.number, row.at, row.author, row.reviewer, row.action, row.target, box, row.label, row.reason)
