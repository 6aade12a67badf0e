"""Studies: sets of analyses that several readers judge, each alone and in an order of their own."""

import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from serving.core.errors import MitoserveError
from serving.review.verdicts import Who
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.review_tables import reviews, studies, study_readers, study_readings, study_visits
from serving.store.tables import OWN, analyses

MAX_SLIDES = 1_000
MAX_READERS = 50
MAX_SEED = 2**31 - 1


class StudyError(MitoserveError):
    """A study that cannot be made, or a reading that cannot go on so."""

    slug = "malformed-request"


class StudyUnfinishedError(MitoserveError):
    """Readings are asked for by a reader who has not ended, and who would see what others said."""

    slug = "study-unfinished"


@dataclass(frozen=True, slots=True)
class ReaderStudy:
    """A set of analyses, and its readers: each the principal whose key is shown, and the name that the person gives."""

    id: str
    owner: str
    name: str
    seed: int
    created_at: float
    """Seconds since 1970."""
    readers: tuple[Who, ...]


@dataclass(frozen=True, slots=True)
class StudyReader:
    """Who reads in which study; what they record belongs to it."""

    study: str
    author: str
    reviewer: str

    @property
    def who(self) -> Who:
        """Whose verdicts these are."""
        return self.author, self.reviewer


@dataclass(frozen=True, slots=True)
class StudyReading:
    """A slide as one reader has it to read.

    place : in the reader's order, from 0 on
    active_s : time in which the page of the slide was looked at
    began_at, finished_at : s since 1970; None while the slide was not opened, and while it is to be read
    """

    analysis: str
    sha256: str
    slide_name: str
    place: int
    active_s: float
    began_at: float | None
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class StudyVisit:
    """One opening of a slide in one page.

    name : chosen by the page
    active_s : time in which the page was looked at, from the opening until now
    """

    name: str
    active_s: float


def draw_order(seed: int, reader: int, number: int) -> list[int]:
    """The order in which a reader sees `number` slides: another one for each reader, the same for the same seed.

    reader : place among the study's readers, from 0 on
    """
    return [int(place) for place in np.random.default_rng([seed, reader]).permutation(number)]


class StudyStore:
    """The studies of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, owner: str, name: str, chosen: Sequence[str], readers: Sequence[Who], *, by: str, seed: int | None = None
    ) -> ReaderStudy:
        """A new study, with an order of the slides for each reader, which stays.

        Parameters
        ----------
        chosen
            Ids of the owner's analyses that have results.
        by
            Principal who makes it.
        seed
            Of the orders; by default a random one.

        Raises
        ------
        NotFoundError
            If the owner lacks one of the analyses.
        StudyError
            If one has no result, or something is named twice.
        """
        if len(set(chosen)) < len(chosen) or len(set(readers)) < len(readers):
            raise StudyError("an analysis or a reader is named twice; name each once")
        seed = secrets.randbelow(MAX_SEED + 1) if seed is None else seed
        study = ReaderStudy(uuid.uuid4().hex[:12], owner, name, seed, time.time(), tuple(readers))
        with self._database.writing() as tx:
            _require_results(tx, owner, chosen)
            row = {"id": study.id, "owner": owner, "name": name, "seed": seed, "created_at": study.created_at}
            tx.execute(insert(studies).values(row | {"created_by": by}))
            for number, (author, reviewer) in enumerate(readers):
                reader = {"study": study.id, "author": author, "reviewer": reviewer, "number": number}
                tx.execute(insert(study_readers).values(reader))
                order = draw_order(seed, number, len(chosen))
                places = [{"place": place, "analysis": chosen[index]} for place, index in enumerate(order)]
                tx.execute(insert(study_readings), [{"study": study.id, "reader": number} | place for place in places])
        return study

    def find_all(self, owner: str | None) -> list[ReaderStudy]:
        """The studies of an owner, the newest first; everybody's where None."""
        chosen = select(studies).order_by(studies.c.created_at.desc(), studies.c.id)
        with self._database.reading() as tx:
            rows = tx.execute(chosen if owner is None else chosen.where(studies.c.owner == owner)).all()
            return [_read_study(tx, row) for row in rows]

    def get(self, study: str, *, owner: str | None) -> ReaderStudy:
        """A study of the owner's, anybody's where None; raises `NotFoundError`."""
        with self._database.reading() as tx:
            return _require_study(tx, study, owner)

    def remove(self, study: str, *, owner: str | None) -> None:
        """Remove a study with all that its readers said; raises `NotFoundError`."""
        with self._database.writing() as tx:
            _require_study(tx, study, owner)
            for table in (study_visits, study_readings, study_readers, reviews):
                tx.execute(delete(table).where(table.c.study == study))
            tx.execute(delete(studies).where(studies.c.id == study))

    def readings(self, reader: StudyReader) -> list[StudyReading]:
        """The slides of a reader in their order, without those whose analyses were removed; raises `NotFoundError`."""
        with self._database.reading() as tx:
            return _read_readings(tx, reader.study, _require_reader(tx, reader))

    def require(self, reader: StudyReader, analysis: str) -> None:
        """Raise `NotFoundError` unless the analysis is one that the reader has to read."""
        with self._database.reading() as tx:
            _require_reading(tx, reader, analysis)

    def note(
        self, reader: StudyReader, analysis: str, visit: StudyVisit | None, *, finished: bool | None = None
    ) -> None:
        """Keep how long a reader has looked at a slide, and whether they have ended with it.

        Parameters
        ----------
        visit
            Of one visit the longest time counts, so that a time may be sent again; None for no time.
        finished
            None leaves it as it is.

        Raises
        ------
        NotFoundError
            If it is none of the reader's slides.
        StudyError
            If a slide is to be opened again after the reader has ended with all of them.
        """
        now = time.time()
        with self._database.writing() as tx:
            number, row = _require_reading(tx, reader, analysis)
            here = {"study": reader.study, "reader": number, "analysis": analysis}
            if visit is not None and row.finished_at is None:
                _keep_visit(tx, here, visit, now)
            if finished is None or finished == (row.finished_at is not None):
                return
            left = (study_readings.c.study == reader.study) & (study_readings.c.reader == number)
            left &= study_readings.c.finished_at.is_(None)
            if not finished and tx.execute(select(study_readings.c.place).where(left).limit(1)).first() is None:
                raise StudyError("all slides of this reading are finished: it stays as it is")
            own = [study_readings.c[name] == value for name, value in here.items()]
            tx.execute(update(study_readings).where(*own).values(finished_at=now if finished else None))

    def check_ended(self, study: ReaderStudy, author: str) -> None:
        """Raise `StudyUnfinishedError` where a reader with this key has slides left: they stay blind to what others said."""
        own = (study_readers.c.study == study.id) & (study_readers.c.author == author)
        same = (study_readings.c.study == study_readers.c.study) & (study_readings.c.reader == study_readers.c.number)
        left = select(study_readers.c.reviewer).join(study_readings, same)
        with self._database.reading() as tx:
            row = tx.execute(left.where(own, study_readings.c.finished_at.is_(None)).limit(1)).first()
        if row is not None:
            raise StudyUnfinishedError(
                f"a reader with your key{f', {row.reviewer!r},' if row.reviewer else ''} has slides of this study left; "
                "finish them first, so that nobody reads what others said before"
            )


def require_open(tx: Connection, reader: StudyReader, analysis: str) -> None:
    """Make sure that a reader may say something of a slide now.

    Raises
    ------
    NotFoundError
        If it is none of the reader's slides.
    StudyError
        If they have ended with it.
    """
    _, row = _require_reading(tx, reader, analysis)
    if row.finished_at is not None:
        raise StudyError("you have finished this slide of the study; open it again to change what you said")


def _require_results(tx: Connection, owner: str, chosen: Sequence[str]) -> None:
    found = tx.execute(
        select(analyses.c.id, analyses.c.state, analyses.c.result).where(
            OWN, analyses.c.owner == owner, analyses.c.id.in_(chosen)
        )
    ).all()
    missing = sorted(set(chosen) - {row.id for row in found})
    if missing:
        raise NotFoundError(f"no analysis {missing[0][:80]!r}; GET /v1/analyses lists yours")
    if without := sorted(row.id for row in found if row.state != "succeeded" or row.result is None):
        raise StudyError(f"the analysis {without[0]!r} has no result; take it out, or wait until it has ended")


def _require_study(tx: Connection, study: str, owner: str | None) -> ReaderStudy:
    row = tx.execute(select(studies).where(studies.c.id == study)).first()
    if row is None or (owner is not None and row.owner != owner):
        raise NotFoundError(f"no study {study[:40]!r}; GET /v1/studies lists yours")
    return _read_study(tx, row)


def _read_study(tx: Connection, row: Row[Any]) -> ReaderStudy:
    chosen = select(study_readers).where(study_readers.c.study == row.id).order_by(study_readers.c.number)
    readers = tuple((found.author, found.reviewer) for found in tx.execute(chosen))
    return ReaderStudy(row.id, row.owner, row.name, row.seed, row.created_at, readers)


def _require_reader(tx: Connection, reader: StudyReader) -> int:
    """Place among the study's readers."""
    same = (study_readers.c.study == reader.study) & (study_readers.c.author == reader.author)
    row = tx.execute(select(study_readers.c.number).where(same, study_readers.c.reviewer == reader.reviewer)).first()
    if row is None:
        named = f" of the name {reader.reviewer[:80]!r}" if reader.reviewer else ""
        raise NotFoundError(f"you are no reader{named} of a study {reader.study[:40]!r}; GET /v1/studies lists yours")
    return int(row.number)


def _require_reading(tx: Connection, reader: StudyReader, analysis: str) -> tuple[int, Row[Any]]:
    number = _require_reader(tx, reader)
    own = (study_readings.c.study == reader.study) & (study_readings.c.reader == number)
    row = tx.execute(select(study_readings).where(own, study_readings.c.analysis == analysis)).first()
    if row is None:
        raise NotFoundError(f"no analysis {analysis[:80]!r} in this study")
    return number, row


def _read_readings(tx: Connection, study: str, number: int) -> list[StudyReading]:
    visits = (
        select(
            study_visits.c.analysis,
            func.sum(study_visits.c.active_s).label("active_s"),
            func.min(study_visits.c.began_at).label("began_at"),
        )
        .where(study_visits.c.study == study, study_visits.c.reader == number)
        .group_by(study_visits.c.analysis)
        .subquery()
    )
    chosen = (
        select(study_readings, analyses.c.sha256, analyses.c.name, visits.c.active_s, visits.c.began_at)
        .join(studies, studies.c.id == study_readings.c.study)
        .join(analyses, (analyses.c.id == study_readings.c.analysis) & (analyses.c.owner == studies.c.owner))
        .outerjoin(visits, visits.c.analysis == study_readings.c.analysis)
        .where(study_readings.c.study == study, study_readings.c.reader == number)
        .order_by(study_readings.c.place)
    )
    return [
        StudyReading(r.analysis, r.sha256, r.name, r.place, r.active_s or 0.0, r.began_at, r.finished_at)
        for r in tx.execute(chosen)
    ]


def _keep_visit(tx: Connection, here: dict[str, Any], visit: StudyVisit, now: float) -> None:
    own = [study_visits.c[name] == value for name, value in here.items()]
    own.append(study_visits.c.visit == visit.name)
    known = tx.execute(select(study_visits.c.active_s).where(*own)).first()
    if known is None:
        values = here | {"visit": visit.name, "active_s": visit.active_s, "began_at": now - visit.active_s}
        tx.execute(insert(study_visits).values(values))
    elif visit.active_s > known.active_s:
        tx.execute(update(study_visits).where(*own).values(active_s=visit.active_s))
