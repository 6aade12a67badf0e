"""Statistics of slides as they are scored, references to compare them with, and what the comparison says."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from serving.core.card_parts import DriftReference
from serving.core.modelcard import ModelCard
from serving.drift.measures import LEVELS, Level, Measure, distances, make_reference, score_gap
from serving.drift.statistics import SlideStatistics
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.tables import drift_references, slide_statistics

FEWEST = 10
"""Slides from which anything is said of recent ones, unless fewer are asked for altogether."""
FIRST = "server"
"""Who makes a reference of the first slides where nobody else did."""

Numbered = list[tuple[int, SlideStatistics]]


@dataclass(frozen=True, slots=True)
class Reference:
    """What recent slides are compared with, and where it is from."""

    reference: DriftReference
    source: str
    at: float | None
    """Seconds since 1970; None of a card's."""
    past: int
    """Statistics up to this number are its own and not recent."""


@dataclass(frozen=True, slots=True)
class DriftResult:
    """How recent slides compare with the reference."""

    reference: Reference | None
    recent: int
    """Slides since the reference that are looked at."""
    needed: int
    measures: list[Measure]
    """Empty without a reference, or while there are too few slides."""
    score_gap: float | None
    """Kolmogorov-Smirnov distance of the scores."""

    @property
    def level(self) -> Level | None:
        """The highest of all measures; None while nothing can be said."""
        return max((measure.level for measure in self.measures), key=LEVELS.index, default=None)


class DriftMonitor:
    """The statistics and references of one database."""

    def __init__(self, database: Database, slides: int) -> None:
        """`slides`: how many are looked at."""
        self._database, self._slides = database, slides

    def reference(self, card: ModelCard) -> Reference | None:
        """Of a Reg-NS: what somebody made last, else what its card states, else its first slides; None before those."""
        screening = card.sha256()
        with self._database.reading() as tx:
            made = _newest(tx, screening)
        if card.drift_reference is not None and (made is None or made.actor == FIRST):
            return Reference(card.drift_reference, "the model card", None, 0)
        if made is None:
            return None
        return Reference(DriftReference.model_validate_json(made.reference), made.source, made.at, made.past)

    def drift(self, card: ModelCard) -> DriftResult:
        """How the latest slides compare with the reference of a Reg-NS."""
        known, needed = self.reference(card), min(FEWEST, self._slides)
        with self._database.reading() as tx:
            past = 0 if known is None else known.past
            recent = [slide for _, slide in _latest(tx, card.sha256(), self._slides, past=past)]
        if known is None or len(recent) < needed:
            return DriftResult(known, len(recent), needed, [], None)
        now = make_reference(recent, "recent slides")
        return DriftResult(known, len(recent), needed, distances(known.reference, now), score_gap(known.reference, now))

    def take(self, card: ModelCard, *, first: int | None = None, latest: int | None = None, actor: str) -> Reference:
        """Make the first or the latest so many slides that a Reg-NS has scored the reference.

        Raises
        ------
        NotFoundError
            If it has scored none yet.
        """
        with self._database.writing() as tx:
            chosen = _latest(tx, card.sha256(), latest) if first is None else _first(tx, card.sha256(), first)
            if not chosen:
                raise NotFoundError(
                    f"no slide was scored with {card.name}@{card.version} yet; score some, or give --golden"
                )
            which = f"{'latest' if first is None else 'first'} {len(chosen)} slides of this server"
            past = max(number for number, _ in chosen)
            return _put(tx, card.sha256(), [slide for _, slide in chosen], which, actor=actor, past=past)

    def put(self, card: ModelCard, slides: Sequence[SlideStatistics], source: str, actor: str) -> Reference:
        """Make other slides the reference, such as those of a golden set; all that this server scores is then recent."""
        with self._database.writing() as tx:
            return _put(tx, card.sha256(), slides, source, actor=actor, past=0)


def store_statistics(
    tx: Connection, analysis_id: str, slide: str, found: SlideStatistics, *, screening: str, enough: int
) -> None:
    """Keep the statistics of a slide; of the first `enough` that a Reg-NS has scored, a reference is made if it has none."""
    values = {"analysis": analysis_id, "slide": slide, "screening": screening, "at": time.time()}
    tx.execute(insert(slide_statistics).values({**values, "statistics": found.model_dump_json()}))
    if _newest(tx, screening) is None:
        first = _first(tx, screening, enough)
        if len(first) == enough:
            source = f"first {enough} slides of this server"
            past = max(number for number, _ in first)
            _put(tx, screening, [own for _, own in first], source, actor=FIRST, past=past)


def _latest(tx: Connection, screening: str, count: int | None, *, past: int = 0) -> Numbered:
    """The latest slides after number `past`, each as it was scored last, with their numbers."""
    return _each_once(tx, screening, count, past=past, newest_first=True)


def _first(tx: Connection, screening: str, count: int) -> Numbered:
    return _each_once(tx, screening, count, past=0, newest_first=False)


def _each_once(tx: Connection, screening: str, count: int | None, *, past: int, newest_first: bool) -> Numbered:
    order = slide_statistics.c.number.desc() if newest_first else slide_statistics.c.number
    chosen = select(slide_statistics).where(slide_statistics.c.screening == screening, slide_statistics.c.number > past)
    found: dict[str, tuple[int, str]] = {}
    for row in tx.execute(chosen.order_by(order)):
        found.setdefault(row.slide, (row.number, row.statistics))
        if count is not None and len(found) >= count:
            break
    return [(number, SlideStatistics.model_validate_json(text)) for number, text in found.values()]


def _newest(tx: Connection, screening: str) -> Row[Any] | None:
    same = drift_references.c.screening == screening
    return tx.execute(select(drift_references).where(same).order_by(drift_references.c.number.desc()).limit(1)).first()


def _put(
    tx: Connection, screening: str, slides: Sequence[SlideStatistics], source: str, *, actor: str, past: int
) -> Reference:
    made, now = make_reference(slides, source), time.time()
    values = {"screening": screening, "source": source, "past": past, "at": now, "actor": actor}
    tx.execute(insert(drift_references).values({**values, "reference": made.model_dump_json()}))
    return Reference(made, source, now, past)
