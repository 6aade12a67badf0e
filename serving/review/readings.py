"""Readings: an analysis is given to a reader, who sees nobody else's verdicts until the reading is finished."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from serving.core.errors import MitoserveError
from serving.review.verdicts import ReviewEntry, Who
from serving.store.database import Database
from serving.store.review_tables import readings
from serving.store.tables import analyses

MOST = 2
"""Readings of one analysis: two are compared, and what they differ on is decided by consensus."""

Stage = Literal["review", "reading", "waiting", "consensus"]
"""`review`: no reading was given; `reading`: you have one to finish; `waiting`: another is not finished, or there is only one;
`consensus`: both are finished."""


class ReadingError(MitoserveError):
    """A reading does not allow what is asked."""

    slug = "reading-conflict"


class NoSuchReadingError(MitoserveError):
    """There is no such reading of the analysis."""

    slug = "not-found"


@dataclass(frozen=True, slots=True)
class Reading:
    """An analysis in the hands of one reader."""

    number: int
    analysis: str
    reader: str
    """Id of the principal whose verdicts it holds."""
    reviewer: str
    """What the person calls themselves: several may use one key."""
    given_at: float
    """Seconds since 1970."""
    given_by: str
    """Id of the principal who gave it."""
    finished_at: float | None
    """Seconds since 1970; None while it goes on."""

    @property
    def who(self) -> Who:
        """Whose verdicts these are."""
        return self.reader, self.reviewer

    @property
    def name(self) -> str:
        """What the reader is called."""
        return self.reviewer or self.reader

    @property
    def is_open(self) -> bool:
        """Whether it is not finished."""
        return self.finished_at is None


def find_open(readings: Iterable[Reading], principal: str) -> Reading | None:
    """The reading that a principal has to finish; None for none."""
    return next((one for one in readings if one.reader == principal and one.is_open), None)


def find_pair(readings: Sequence[Reading]) -> tuple[Reading, Reading] | None:
    """The two readings where both are finished; None before."""
    if len(readings) < MOST or any(one.is_open for one in readings):
        return None
    return readings[0], readings[1]


def find_stage(readings: Sequence[Reading], principal: str) -> Stage:
    """Where an analysis is, for a principal."""
    if not readings:
        return "review"
    if find_open(readings, principal) is not None:
        return "reading"
    return "waiting" if find_pair(readings) is None else "consensus"


def show_entries(entries: Sequence[ReviewEntry], readings: Sequence[Reading], principal: str) -> list[ReviewEntry]:
    """What a principal may see of the record: during a reading of their own, what was said in it and nothing else."""
    own = find_open(readings, principal)
    return list(entries) if own is None else [entry for entry in entries if entry.who == own.who]


def read_readings(tx: Connection, analysis_ids: Sequence[str]) -> list[Reading]:
    """The readings of analyses that count, in the order in which they were given."""
    chosen = select(readings).where(readings.c.analysis.in_(analysis_ids), readings.c.withdrawn_at.is_(None))
    return [_read(row) for row in tx.execute(chosen.order_by(readings.c.number))]


class ReadingStore:
    """The readings of all analyses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, analysis_id: str) -> list[Reading]:
        """Those of an analysis, in the order in which they were given."""
        with self._database.reading() as tx:
            return read_readings(tx, [analysis_id])

    def give(self, analysis_id: str, *, reader: str, reviewer: str, by: str) -> Reading:
        """Give an analysis to a reader.

        reader, by : principals

        Raises
        ------
        ReadingError
            If there are two readings, the reader has one of this name, or has another to finish.
        NoSuchReadingError
            If the analysis is gone.
        """
        with self._database.writing() as tx:
            if tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is None:
                raise NoSuchReadingError("the analysis was removed")
            known = read_readings(tx, [analysis_id])
            if len(known) >= MOST:
                raise ReadingError("two readings of this analysis were given; two are compared, and no more")
            if any(one.who == (reader, reviewer) for one in known):
                raise ReadingError(f"{reviewer or reader} has a reading of this analysis already")
            if (other := find_open(known, reader)) is not None:
                raise ReadingError(
                    f"this key has a reading to finish as {other.name}: finish it first, or give this one to another key"
                )
            values: dict[str, Any] = {"analysis": analysis_id, "reader": reader, "reviewer": reviewer}
            values |= {"given_at": time.time(), "given_by": by}
            number = tx.execute(insert(readings).values(values)).inserted_primary_key
            return _require(tx, analysis_id, number[0] if number else 0)

    def finish(self, analysis_id: str, number: int, *, principal: str) -> Reading:
        """Finish one's own reading: its verdicts stay as they are, and those of others are shown.

        Raises
        ------
        NoSuchReadingError
            If there is none of this number.
        ReadingError
            If it is another's.
        """
        with self._database.writing() as tx:
            found = _require(tx, analysis_id, number)
            if found.reader != principal:
                raise ReadingError(f"this is the reading of {found.name}, who alone can finish it")
            if found.is_open:
                tx.execute(update(readings).where(readings.c.number == number).values(finished_at=time.time()))
            return _require(tx, analysis_id, number)

    def withdraw(self, analysis_id: str, number: int, *, principal: str) -> None:
        """Take an unfinished reading back; what was said in it stays on record.

        Raises
        ------
        NoSuchReadingError
            If there is none of this number.
        ReadingError
            If it is finished, or one's own: a reader would see the verdicts of others before the reading has ended.
        """
        with self._database.writing() as tx:
            found = _require(tx, analysis_id, number)
            if found.reader == principal:
                raise ReadingError("a reader cannot take the own reading back: finish it, or ask somebody else to")
            if not found.is_open:
                raise ReadingError("the reading is finished and stays")
            tx.execute(update(readings).where(readings.c.number == number).values(withdrawn_at=time.time()))


def check_may_say(readings: Sequence[Reading], who: Who, *, consensus: bool) -> None:
    """Refuse what does not go with the readings of an analysis.

    who : principal and name of whoever wants to say something

    Raises
    ------
    ReadingError
        If the principal reads under another name, the reading is finished, or consensus comes too early.
    """
    if consensus:
        if find_pair(readings) is None:
            raise ReadingError("a consensus follows two readings: both must be finished")
        return
    own = find_open(readings, who[0])
    if own is not None and own.who != who:
        raise ReadingError(f"your key reads this analysis as {own.name}: say so, or finish that reading")
    if any(one.who == who and not one.is_open for one in readings):
        raise ReadingError("your reading is finished and stays as it is; what follows is said as consensus")


def _read(row: Row[tuple[object, ...]]) -> Reading:
    return Reading(**{name: getattr(row, name) for name in Reading.__slots__})


def _require(tx: Connection, analysis_id: str, number: int) -> Reading:
    chosen = select(readings).where(
        readings.c.analysis == analysis_id, readings.c.number == number, readings.c.withdrawn_at.is_(None)
    )
    row = tx.execute(chosen).first()
    if row is None:
        raise NoSuchReadingError(f"the analysis has no reading {number}")
    return _read(row)
