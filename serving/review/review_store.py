"""The record of reviews in the database: rows are added, and go with their analysis alone."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select

from serving.core.errors import MitoserveError
from serving.core.report import Report
from serving.review.decisions import SAME_FIGURE_UM, find_boxes
from serving.review.readings import Reading, check_may_say, read_readings, show_entries
from serving.review.studies import StudyReader, require_open
from serving.review.verdicts import Action, Box, ReviewEntry, find_added_boxes
from serving.store.database import Database
from serving.store.review_tables import reviews
from serving.store.tables import analyses

MAX_ENTRIES = 100_000
"""Of one analysis: more than anybody judges, few enough to be read at once."""


class ReviewError(MitoserveError):
    """A review says something of an object that is not there, or of what is not the reviewer's."""

    slug = "malformed-request"


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """What a reviewer wants to record. See `ReviewEntry`.

    study : that it is said in; empty for none
    """

    author: str
    reviewer: str
    action: Action
    target: str = ""
    box: Box | None = None
    label: str | None = None
    reason: str = ""
    study: str = ""
    consensus: bool = False

    @property
    def reader(self) -> StudyReader | None:
        """As whom it is said in a study; None where it is said in none."""
        return StudyReader(self.study, self.author, self.reviewer) if self.study else None


class ReviewStore:
    """The reviews of all analyses. What is said in a study stands apart: of each reader alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self, analysis_id: str, *, seen_by: str) -> list[ReviewEntry]:
        """What was recorded of an analysis outside studies, in its order, as far as a principal may see it: see `show_entries`."""
        with self._database.reading() as tx:
            return show_entries(_read_all(tx, analysis_id, None), read_readings(tx, [analysis_id]), seen_by)

    def study_entries(self, analysis_id: str, reader: StudyReader) -> list[ReviewEntry]:
        """What a reader said of an analysis in their study, in its order."""
        with self._database.reading() as tx:
            return _read_all(tx, analysis_id, reader)

    def record(self, analysis_id: str, change: ReviewChange, *, report: Report) -> ReviewEntry:
        """Add an entry and give it as it was recorded.

        report : of the analysis, as it was made

        Raises
        ------
        ReviewError
            If there is no such object or entry, the entry is another's or undone already, or the record is full; if what is
            to be added lies outside the slide, or is there already.
        NotFoundError, StudyError
            If the reviewer does not read the analysis in the study, or has finished it.
        ReadingError
            If the readings of the analysis do not allow it.
        """
        with self._database.writing() as tx:
            if change.reader is not None:
                require_open(tx, change.reader, analysis_id)
            recorded, given = _read_all(tx, analysis_id, change.reader), _find_readings(tx, analysis_id, change.reader)
            entries = show_entries(recorded, given, change.author)
            change = _take_stage(change, entries)
            if len(recorded) >= MAX_ENTRIES:
                raise ReviewError(f"the record of this analysis has {MAX_ENTRIES} entries, which is the limit")
            if tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is None:
                raise ReviewError("the analysis was removed")
            check_may_say(given, (change.author, change.reviewer), consensus=change.consensus)
            _check(change, entries, report)
            x, y, width, height = change.box or (None, None, None, None)
            values = {"analysis": analysis_id, "at": time.time(), "author": change.author, "reviewer": change.reviewer}
            values |= {"action": change.action, "target": change.target, "label": change.label, "reason": change.reason}
            values |= {"study": change.study, "consensus": change.consensus}
            values |= {"x": x, "y": y, "width": width, "height": height}
            number = tx.execute(insert(reviews).values(values)).inserted_primary_key
            row = tx.execute(select(reviews).where(reviews.c.number == (number[0] if number else 0))).one()
            return read_entry(row)


def _read_all(tx: Connection, analysis_id: str, reader: StudyReader | None) -> list[ReviewEntry]:
    rows = tx.execute(select(reviews).where(_recorded(analysis_id, reader)).order_by(reviews.c.number))
    return [read_entry(row) for row in rows]


def _find_readings(tx: Connection, analysis_id: str, reader: StudyReader | None) -> list[Reading]:
    """The readings that bound what is said and seen; a study has readers of its own."""
    return read_readings(tx, [analysis_id]) if reader is None else []


def _recorded(analysis_id: str, reader: StudyReader | None) -> ColumnElement[bool]:
    """Which rows are the record: those outside studies, else those of one reader of one."""
    if reader is None:
        return (reviews.c.analysis == analysis_id) & (reviews.c.study == "")
    own = (reviews.c.author == reader.author) & (reviews.c.reviewer == reader.reviewer)
    return (reviews.c.analysis == analysis_id) & (reviews.c.study == reader.study) & own


def _take_stage(change: ReviewChange, entries: Sequence[ReviewEntry]) -> ReviewChange:
    """What takes something back belongs to the consensus where that does."""
    if change.action != "undo":
        return change
    undone = next((entry for entry in entries if str(entry.number) == change.target), None)
    return change if undone is None else replace(change, consensus=undone.consensus)


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


def read_entry(row: Row[Any]) -> ReviewEntry:
    """The entry of a row of the table."""
    box = None if row.x is None else (row.x, row.y, row.width, row.height)
    said = (row.number, row.at, row.author, row.reviewer, row.action, row.target, box, row.label, row.reason)
    return ReviewEntry(*said, consensus=row.consensus)
