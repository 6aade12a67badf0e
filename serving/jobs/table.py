"""The table of analyses as callers see it: submit, look, list, cancel, follow."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from serving.core.options import ScoringOptions
from serving.core.words import state_time
from serving.jobs.job import STATES, AnalysisJob, IdempotencyError, JobEvent, options_text, request_key
from serving.jobs.result_cache import drop_lost, find_cached, note_lost
from serving.jobs.sending import put_sendings
from serving.store.database import Database
from serving.store.errors import NotFoundError
from serving.store.folder_store import discard_folders
from serving.store.places import result_names
from serving.store.review_tables import readings, regions, reviews, signatures, study_readings, study_visits
from serving.store.slide_rows import UNFINISHED, DroppedSlide, current_id
from serving.store.slides import SlideStore
from serving.store.tables import OWN, analyses, blobs, counters, deliveries, events, slide_statistics, slides

PRIORITIES = (-10, 10)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller wants analysed."""

    owner: str
    sha256: str
    options: ScoringOptions
    name: str | None = None
    """What the report calls the slide; by default what its owner called it first."""
    priority: int = 0
    webhook: str | None = None
    idempotency_key: str | None = None
    idempotency_hash: str | None = None
    """Of the request: a key that comes with another request is a mistake."""


class JobTable:
    """All analyses of one database."""

    def __init__(self, database: Database, store: SlideStore) -> None:
        self.database, self._store = database, store

    def submit(self, wanted: Submission, *, models_key: str | None) -> tuple[AnalysisJob, bool]:
        """The accepted analysis, and whether it is new: not a repetition under the same idempotency key.

        models_key : of the models that would run now; a result that they have given already is used again

        Raises
        ------
        NotFoundError
            If the owner has no such slide.
        IdempotencyError
            If the key was used for something else.
        """
        with self.database.reading() as tx:
            key = request_key(current_id(tx, wanted.sha256), wanted.options)
        drop_lost(self.database, self._store.kept, wanted.owner, key, models_key)
        with self.database.writing() as tx:
            if wanted.idempotency_key is not None and (known := _find_repeated(tx, wanted)) is not None:
                return known, False
            wanted = replace(wanted, sha256=current_id(tx, wanted.sha256))
            key = request_key(wanted.sha256, wanted.options)
            mine = (slides.c.owner == wanted.owner) & (slides.c.sha256 == wanted.sha256)
            slide = tx.execute(select(slides.c.name, slides.c.case_name).where(mine)).first()
            if slide is None:
                raise NotFoundError(f"no slide {wanted.sha256[:80]!r}; GET /v1/slides lists yours")
            now = time.time()
            tx.execute(update(blobs).where(blobs.c.sha256 == wanted.sha256).values(used_at=now))
            job = AnalysisJob(
                id=uuid.uuid4().hex,
                owner=wanted.owner,
                sha256=wanted.sha256,
                name=wanted.name or slide.name,
                case_name=slide.case_name,
                options=options_text(wanted.options),
                priority=wanted.priority,
                created_at=now,
                webhook=wanted.webhook,
                request_key=key,
            )
            job = find_cached(tx, job, models_key) or job
            job = put_row(tx, job, idempotency_key=wanted.idempotency_key, idempotency_hash=wanted.idempotency_hash)
            note(tx, job)
            put_sendings(tx, job, self._store.settings)
            gone = _without_temporary(tx, self._store, job) if job.finished else None
        self._store.discard(gone)
        return job, True

    def get(self, analysis_id: str, *, owner: str | None) -> AnalysisJob:
        """An analysis of the owner's; anybody's where None.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        with self.database.reading() as tx:
            return _require_job(tx, analysis_id, owner)

    def page(
        self, *, owner: str | None, states: Sequence[str], sha256: str | None, before: int | None, limit: int
    ) -> list[AnalysisJob]:
        """Analyses, the newest first, that were submitted before number `before`."""
        chosen = select(analyses).where(OWN).order_by(analyses.c.number.desc()).limit(limit)
        if owner is not None:
            chosen = chosen.where(analyses.c.owner == owner)
        if states:
            chosen = chosen.where(analyses.c.state.in_(states))
        if before is not None:
            chosen = chosen.where(analyses.c.number < before)
        with self.database.reading() as tx:
            if sha256 is not None:
                chosen = chosen.where(analyses.c.sha256 == current_id(tx, sha256))
            return [AnalysisJob.from_row(row) for row in tx.execute(chosen)]

    def counts(self) -> dict[str, int]:
        """How many analyses there are in each state."""
        with self.database.reading() as tx:
            return count_states(tx, OWN)

    def cancel(self, analysis_id: str, *, owner: str | None) -> AnalysisJob:
        """The analysis, cancelled if it had not ended. Its worker loses its lease, and stops when it sees that."""
        with self.database.writing() as tx:
            job = _require_job(tx, analysis_id, owner)
            if job.finished:
                return job
            job = replace(job, state="cancelled", finished_at=time.time(), seconds_left=None, token=next_token(tx))
            gone = end(tx, self._store, job)
        self._store.discard(gone)
        return job

    def forget(self, analysis_id: str, *, owner: str | None) -> None:
        """Remove a finished analysis; its result goes with the last analysis that shares it."""
        with self.database.writing() as tx:
            job = _require_job(tx, analysis_id, owner)
            left = remove_rows(tx, [job.id])
        discard_folders(self._store.kept, left)

    def lose(self, job: AnalysisJob) -> None:
        """Note that the job's result is lost; see `result_cache.note_lost`."""
        if job.result is not None:
            note_lost(self.database, self._store.kept, job.result)

    def exists(self, analysis_id: str) -> bool:
        """Whether there is such an analysis still."""
        with self.database.reading() as tx:
            return tx.execute(select(analyses.c.id).where(analyses.c.id == analysis_id)).first() is not None

    def events(self, analysis_id: str, *, after: int) -> list[JobEvent]:
        """What happened to an analysis since event `after`."""
        chosen = select(events).where(events.c.analysis == analysis_id, events.c.id > after).order_by(events.c.id)
        with self.database.reading() as tx:
            return [JobEvent(row.id, row.kind, row.data) for row in tx.execute(chosen.limit(1000))]


def count_states(tx: Connection, which: ColumnElement[bool]) -> dict[str, int]:
    """How many of these analyses there are in each state."""
    by_state = select(analyses.c.state, func.count().label("number_of")).where(which).group_by(analyses.c.state)
    found = {row.state: row.number_of for row in tx.execute(by_state)}
    return {state: found.get(state, 0) for state in STATES}


def put_row(tx: Connection, job: AnalysisJob, **more: object) -> AnalysisJob:
    """The job, inserted: with the number that its row has."""
    kept = {name: getattr(job, name) for name in AnalysisJob.__slots__ if name != "number"}
    values = {**kept, "crashes": 0, "worker": "", "beat": 0, **more}
    number = tx.execute(insert(analyses).values(values)).inserted_primary_key
    return replace(job, number=number[0] if number else 0)


def note(tx: Connection, job: AnalysisJob, kind: str | None = None) -> None:
    """Record what a job has become, for those who follow it and for its webhook; nobody follows a shadow's."""
    if job.shadow_of is not None:
        return
    data = json.dumps(job.snapshot())
    tx.execute(insert(events).values(analysis=job.id, kind=kind or job.state, data=data))
    if job.finished and job.webhook is not None:
        values: dict[str, Any] = {"attempts": 0, "next_at": time.time(), "state": "waiting", "outcome": ""}
        body = json.dumps(
            {"type": f"analysis.{job.state}", "timestamp": state_time(time.time()), "data": job.snapshot()}
        )
        values |= {"id": f"msg_{uuid.uuid4().hex}", "analysis": job.id, "url": job.webhook, "body": body}
        tx.execute(insert(deliveries).values(values))


def end(tx: Connection, store: SlideStore, job: AnalysisJob) -> DroppedSlide | None:
    """Write a job's last state; a slide that was kept for its sake alone goes: gives what it left, for `discard`."""
    changed = (
        "state",
        "finished_at",
        "seconds_left",
        "token",
        "result",
        "problem",
        "detail",
        "models_key",
        "tiles_done",
        "tiles_total",
        "figures",
        "density",
        "warned",
        "summary",
    )
    values = {name: getattr(job, name) for name in changed}
    tx.execute(update(analyses).where(analyses.c.id == job.id).values(values))
    note(tx, job)
    put_sendings(tx, job, store.settings)
    return _without_temporary(tx, store, job)


def remove_rows(tx: Connection, ids: Sequence[str]) -> list[str]:
    """Remove analyses and all that belongs to them, what shadows repeated of them too.

    Gives the names of the folders of results that no row names any more: they go after the commit, see `discard_folders`.
    """
    for table in (
        events, deliveries, reviews, readings, signatures, regions, slide_statistics, study_readings, study_visits,
    ):  # fmt: skip
        tx.execute(delete(table).where(table.c.analysis.in_(ids)))
    removed = analyses.c.id.in_(ids) | analyses.c.shadow_of.in_(ids)
    results = result_names(tx, removed)
    tx.execute(delete(analyses).where(removed))
    shared = set(result_names(tx, analyses.c.result.in_([PurePosixPath(name).name for name in results])))
    return [name for name in results if name not in shared]


def next_token(tx: Connection) -> int:
    """A number higher than any before it."""
    value = tx.execute(select(counters.c.value).where(counters.c.name == "token")).scalar()
    if value is None:
        tx.execute(insert(counters).values(name="token", value=1))
        return 1
    tx.execute(update(counters).where(counters.c.name == "token").values(value=value + 1))
    return int(value) + 1


def _without_temporary(tx: Connection, store: SlideStore, job: AnalysisJob) -> DroppedSlide | None:
    """Forget the job's slide if it was kept for its analyses alone and none is left; gives what it left, for `discard`."""
    waiting = select(analyses.c.id).where(
        analyses.c.sha256 == job.sha256, analyses.c.owner == job.owner, analyses.c.state.in_(UNFINISHED)
    )
    if tx.execute(waiting.limit(1)).first():
        return None
    # One that was brought again since waits for an analysis that is about to be submitted.
    temporary = (slides.c.owner == job.owner) & (slides.c.sha256 == job.sha256) & ~slides.c.kept
    tx.execute(delete(slides).where(temporary, slides.c.created_at <= job.created_at))
    return store.drop_unowned(tx, job.sha256)


def _find_repeated(tx: Connection, wanted: Submission) -> AnalysisJob | None:
    same = (analyses.c.owner == wanted.owner) & (analyses.c.idempotency_key == wanted.idempotency_key)
    row = tx.execute(select(analyses).where(same)).first()
    if row is None:
        return None
    if row.idempotency_hash != wanted.idempotency_hash:
        raise IdempotencyError("this Idempotency-Key was used for another request; take a new key for a new request")
    if row.state == "succeeded" and row.result is None:
        # Its result is lost: the key is for the analysis that is computed in its place.
        tx.execute(update(analyses).where(analyses.c.id == row.id).values(idempotency_key=None, idempotency_hash=None))
        return None
    return AnalysisJob.from_row(row)


def _require_job(tx: Connection, analysis_id: str, owner: str | None) -> AnalysisJob:
    row = tx.execute(select(analyses).where(analyses.c.id == analysis_id, OWN)).first()
    if row is None or (owner is not None and row.owner != owner):
        raise NotFoundError(f"no analysis {analysis_id[:80]!r}; GET /v1/analyses lists yours")
    return AnalysisJob.from_row(row)
