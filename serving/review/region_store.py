"""The record of regions that people drew on results: each entry states all of them; entries are added, and go with their analysis."""

import json
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select

from serving.core.errors import MitoserveError
from serving.core.outlines import Outlines, hash_outlines, parse_outlines
from serving.store.database import Database
from serving.store.review_tables import regions
from serving.store.tables import analyses

Use = Literal["within", "exclude"]
MAX_ENTRIES = 1_000
"""Of one analysis: each time that somebody drew makes one."""


class RegionError(MitoserveError):
    """Regions that cannot be recorded."""

    slug = "malformed-request"


@dataclass(frozen=True, slots=True)
class RegionChange:
    """What somebody wants to record: all regions, as they are from now on.

    within, exclude : level-0 px; None for everywhere, and for nothing
    """

    author: str
    reviewer: str
    within: Outlines | None
    exclude: Outlines | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RegionNote:
    """When somebody drew, and what they said of it, without what they drew."""

    number: int
    at: float
    """Seconds since 1970."""
    author: str
    reviewer: str
    reason: str
    sha256: str | None
    """As `Counting.regions_sha256`; None where there are no regions any more."""


@dataclass(frozen=True, slots=True)
class RegionEntry:
    """An entry of the record.

    within, exclude : level-0 px
    """

    note: RegionNote
    within: Outlines | None
    exclude: Outlines | None


class RegionStore:
    """The regions of all analyses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def notes(self, analysis_id: str) -> list[RegionNote]:
        """The record of an analysis in its order, without the regions themselves."""
        columns = [regions.c[name] for name in RegionNote.__slots__]
        chosen = select(*columns).where(regions.c.analysis == analysis_id).order_by(regions.c.number)
        with self._database.reading() as tx:
            return [_note(row) for row in tx.execute(chosen)]

    def find(self, analysis_id: str, number: int | None = None) -> RegionEntry | None:
        """The last entry of an analysis, or that of a number; None if there is none."""
        with self._database.reading() as tx:
            return _find(tx, analysis_id, number)

    def record(self, analysis_id: str, change: RegionChange) -> RegionNote:
        """Add an entry and give what was noted of it.

        Raises
        ------
        RegionError
            If the analysis is gone, or its record is full.
        """
        with self._database.writing() as tx:
            return _add(tx, analysis_id, change)

    def replace(self, analysis_id: str, use: Use, drawn: Outlines, change: RegionChange) -> RegionNote:
        """Add an entry with `drawn` for one use, and for the other what the last entry states, whoever added that meanwhile.

        change : who draws, and the regions of both uses where nobody drew before

        Raises
        ------
        RegionError
            If the analysis is gone, or its record is full.
        """
        with self._database.writing() as tx:
            last = _find(tx, analysis_id)
            if last is not None:
                change = replace(change, within=last.within, exclude=last.exclude)
            change = replace(change, within=drawn) if use == "within" else replace(change, exclude=drawn)
            return _add(tx, analysis_id, change)


def _find(tx: Connection, analysis_id: str, number: int | None = None) -> RegionEntry | None:
    """The last entry of an analysis, or that of a number; None if there is none."""
    chosen = select(regions).where(regions.c.analysis == analysis_id)
    if number is not None:
        chosen = chosen.where(regions.c.number == number)
    row = tx.execute(chosen.order_by(regions.c.number.desc()).limit(1)).first()
    return None if row is None else RegionEntry(_note(row), _read(row.within), _read(row.exclude))


def _add(tx: Connection, analysis_id: str, change: RegionChange) -> RegionNote:
    if tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is None:
        raise RegionError("the analysis was removed")
    known = tx.execute(select(regions.c.number).where(regions.c.analysis == analysis_id)).all()
    if len(known) >= MAX_ENTRIES:
        raise RegionError(f"the regions of this analysis were drawn {MAX_ENTRIES} times, which is the limit")
    stated = [None if o is None else o.as_report() for o in (change.within, change.exclude)]
    values = {
        "analysis": analysis_id,
        "at": time.time(),
        "author": change.author,
        "reviewer": change.reviewer,
        "within": _write(change.within),
        "exclude": _write(change.exclude),
        "sha256": None if stated == [None, None] else hash_outlines(*stated),
        "reason": change.reason,
    }
    number = tx.execute(insert(regions).values(values)).inserted_primary_key
    return _note(tx.execute(select(regions).where(regions.c.number == (number[0] if number else 0))).one())


def _note(row: Row[Any]) -> RegionNote:
    return RegionNote(**{name: getattr(row, name) for name in RegionNote.__slots__})


def _write(outlines: Outlines | None) -> str | None:
    return None if outlines is None else json.dumps(outlines.as_geojson(), separators=(",", ":"))


def _read(text: str | None) -> Outlines | None:
    return None if text is None else parse_outlines(text)
