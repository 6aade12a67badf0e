"""How far the records of analyses have come: one question a moment to the database, however many people look."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, true

from serving.store.database import Database
from serving.store.review_tables import regions, reviews
from serving.store.tables import analyses

LOOK_S = 1.0
"""A change that another server process recorded is seen so long after it at most."""
_MOST_ASKED = 500
"""Analyses in one question; databases bound the number of its parameters."""


@dataclass(frozen=True, slots=True)
class LastEntries:
    """Numbers of the last entries of an analysis's records, without what is said in studies; 0 where there are none."""

    reviews: int = 0
    regions: int = 0


class RecordWatch:
    """What is known of the records of the analyses that somebody follows; of one server process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followed: Counter[str] = Counter()
        self._known: dict[str, LastEntries] = {}
        self._asked = float("-inf")
        self._lock = threading.Lock()

    @contextmanager
    def follow(self, analysis_id: str) -> Iterator[None]:
        """Have an analysis asked for until the block ends."""
        with self._lock:
            self._followed[analysis_id] += 1
            self._asked = float("-inf")  # what is known says nothing of it
        try:
            yield
        finally:
            with self._lock:
                self._followed[analysis_id] -= 1
                self._followed += Counter()

    def look(self, analysis_id: str) -> LastEntries | None:
        """How far an analysis's records have come, at most `LOOK_S` ago; None once it is gone.

        The analysis is one that is followed.

        Raises
        ------
        BusyError
            If the database does not answer.
        """
        with self._lock:
            if time.monotonic() - self._asked >= LOOK_S:
                self._known = self._ask(sorted(self._followed))
                self._asked = time.monotonic()
            return self._known.get(analysis_id)

    def _ask(self, ids: list[str]) -> dict[str, LastEntries]:
        found: dict[str, LastEntries] = {}
        with self._database.reading() as tx:
            for start in range(0, len(ids), _MOST_ASKED):
                asked = ids[start : start + _MOST_ASKED]
                last = [
                    {
                        row.analysis: row.last
                        for row in tx.execute(
                            select(table.c.analysis, func.max(table.c.number).label("last"))
                            .where(table.c.analysis.in_(asked), said)
                            .group_by(table.c.analysis)
                        )
                    }
                    for table, said in ((reviews, reviews.c.study == ""), (regions, true()))
                ]
                there = tx.execute(select(analyses.c.id).where(analyses.c.id.in_(asked))).scalars()
                found |= {name: LastEntries(*(numbers.get(name, 0) for numbers in last)) for name in there}
        return found
