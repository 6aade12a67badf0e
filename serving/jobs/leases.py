"""Who runs which analysis. A lease has a token, and whoever holds an older one can write nothing.

No clock of the wall is compared with another: a lease is lost when its beat does not change for `lease_s` by the
monotonic clock of whoever looks. So clocks may jump, and servers may disagree about the time.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Update, func, select, update

from serving.jobs.job import AnalysisJob, LeaseLostError
from serving.jobs.result_cache import find_cached, is_intact
from serving.jobs.result_summary import ResultSummary
from serving.jobs.shadows import has_waiting, queue_shadow
from serving.jobs.table import end, next_token, note, remove_rows
from serving.registry.shadows import end_shadow, is_running, running_shadow
from serving.store.database import Database
from serving.store.folder_store import discard_folders
from serving.store.slide_rows import DroppedSlide
from serving.store.slides import SlideStore
from serving.store.tables import OWN, analyses

MAX_CRASHES = 5
"""Workers that an analysis may take down without finishing a chunk; then it is the analysis, not the worker."""
CRASHED = "workers ended while they scored with it, one after the other; the server's log may say why"
"""Why a shadow ends whose analysis took down so many."""


def _nothing(_: Connection, __: AnalysisJob) -> None:
    """Nothing else is written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one analysis."""

    job: AnalysisJob
    token: int


class Leases:
    """Claims, renews and ends leases for one worker."""

    def __init__(self, database: Database, store: SlideStore, worker: str) -> None:
        self._database, self._store, self._worker = database, store, worker
        self._watch = LeaseWatch()

    def claim(self, models_key: str, *, lease_s: float, intact: frozenset[str] = frozenset()) -> Lease | None:
        """The next analysis to run, if there is one; those whose worker was lost go back into the line first.

        Owners take turns, whatever their priorities and the length of their lines; among one owner's the highest
        priority goes first, then the oldest. An analysis waits while another of its owner's with the same result runs.

        intact : results that were found to be there and undamaged
        """
        with self._database.reading() as tx:
            running = tx.execute(
                select(analyses.c.id, analyses.c.token, analyses.c.beat).where(analyses.c.state == "running")
            ).all()
            lost = self._watch.find_lost(((r.id, r.token, r.beat) for r in running), lease_s=lease_s)
            waiting = tx.execute(select(analyses.c.id).where(analyses.c.state == "queued", OWN).limit(1)).first()
        for analysis_id, token in lost:
            self.requeue(analysis_id, token)
        if waiting is None and not lost:
            return None
        with self._database.writing() as tx:
            job = _next(tx)
            if job is None:
                return None
            done = find_cached(tx, replace(job, token=next_token(tx), models_key=models_key, detail=None), models_key)
            if done is None:
                return self._start_lease(tx, job, models_key)
            known = done.result or ""
            gone = end(tx, self._store, done) if known in intact else None
        self._store.discard(gone)
        if known not in intact and is_intact(self._database, self._store.kept, known):
            intact |= {known}
        return self.claim(models_key, lease_s=lease_s, intact=intact)

    def claim_shadow(self, shadow: int, models_key: str) -> Lease | None:
        """The oldest analysis that a shadow's line holds, if nobody's own waits or runs here."""
        mine = (analyses.c.shadow == shadow) & (analyses.c.state == "queued")
        with self._database.reading() as tx:
            if tx.execute(select(analyses.c.id).where(mine).limit(1)).first() is None:
                return None
        with self._database.writing() as tx:
            row = tx.execute(select(analyses).where(mine).order_by(analyses.c.number).limit(1)).first()
            if row is None or has_waiting(tx, self._worker):
                return None
            return self._start_lease(tx, AnalysisJob.from_row(row), models_key)

    def holds(self, lease: Lease) -> bool:
        """Whether the lease still counts; asks without writing.

        A shadow's does not where somebody's own analysis waits or runs here, nor once its shadow has ended.
        """
        with self._database.reading() as tx:
            if _find_held(tx, lease) is None:
                return False
            if lease.job.shadow is None:
                return True
            running = running_shadow(tx)
            return running is not None and running.number == lease.job.shadow and not has_waiting(tx, self._worker)

    def beat(self, lease: Lease) -> bool:
        """Show that the worker lives; gives whether the lease still counts."""
        with self._database.writing() as tx:
            return bool(tx.execute(_mine(lease).values(beat=analyses.c.beat + 1)).rowcount)

    def note_models(self, lease: Lease, models_key: str) -> None:
        """Record that other models run than the lease was claimed with; see `models_key`."""
        with self._database.writing() as tx:
            tx.execute(_mine(lease).values(models_key=models_key))

    def progress(self, lease: Lease, done: int, total: int, seconds_left: float | None) -> None:
        """Record how far the analysis is; raises `LeaseLostError`."""
        with self._database.writing() as tx:
            job = replace(_current(tx, lease), tiles_done=done, tiles_total=total, seconds_left=seconds_left)
            values = {"tiles_done": done, "tiles_total": total, "seconds_left": seconds_left}
            tx.execute(_mine(lease).values(values | {"beat": analyses.c.beat + 1}))
            note(tx, job, "progress")

    def note_preliminary(self, lease: Lease, preliminary: str, *, kept: bool, tell: bool = False) -> None:
        """Record what is known so far; raises `LeaseLostError`.

        preliminary : JSON of it, see `Preliminary`
        kept : whether a chunk was finished for good since the last time, so that crashes are counted anew
        tell : those who follow the analysis, at once
        """
        counted = {"crashes": 0} if kept else {}
        with self._database.writing() as tx:
            job = _current(tx, lease)
            if tell:
                note(tx, replace(job, preliminary=preliminary), "progress")
            tx.execute(_mine(lease).values(**counted, preliminary=preliminary, beat=analyses.c.beat + 1))

    def succeed(
        self,
        lease: Lease,
        result: str,
        also: Callable[[Connection, AnalysisJob], None] = _nothing,
        *,
        summary: ResultSummary | None = None,
    ) -> None:
        """End with a result, in folder `result`; raises `LeaseLostError`, and then the result does not count.

        also : what else is written, if the result counts
        summary : of the result; None leaves it to be read by `fill_summaries`
        """
        with self._database.writing() as tx:
            job = _current(tx, lease)
            done = job.tiles_total or 0
            ended = replace(job, state="succeeded", finished_at=time.time(), result=result, seconds_left=None)
            ended = ended if summary is None else replace(ended, **summary.columns())
            also(tx, job)
            if job.shadow_of is None:
                queue_shadow(tx, ended)
            gone = end(tx, self._store, replace(ended, tiles_done=done))
        self._store.discard(gone)

    def fail(self, lease: Lease, problem: str, detail: str) -> None:
        """End with an error; raises `LeaseLostError`."""
        with self._database.writing() as tx:
            gone = _fail(tx, self._store, _current(tx, lease), problem, detail)
        self._store.discard(gone)

    def release(self, lease: Lease, detail: str | None = None) -> None:
        """Put the analysis back into its place in the line; does nothing where the lease is lost."""
        left: list[str] = []
        with self._database.writing() as tx:
            job = _find_held(tx, lease)
            if job is not None and job.shadow is not None and not is_running(tx, job.shadow):
                left = remove_rows(tx, [job.id])
            elif job is not None:
                tx.execute(_mine(lease).values(state="queued", worker="", seconds_left=None, detail=detail))
                note(tx, replace(job, state="queued", seconds_left=None, detail=detail))
        discard_folders(self._store.kept, left)

    def requeue(self, analysis_id: str, token: int) -> None:
        """Put an analysis whose worker was lost back into the line, or end it if it lost too many."""
        gone = None
        with self._database.writing() as tx:
            same = (analyses.c.id == analysis_id) & (analyses.c.token == token) & (analyses.c.state == "running")
            row = tx.execute(select(analyses).where(same)).first()
            if row is None:
                return
            job, crashes = AnalysisJob.from_row(row), row.crashes + 1
            if crashes >= MAX_CRASHES:
                if job.shadow is not None:
                    end_shadow(tx, job.shadow, "failed", CRASHED)
                detail = f"{crashes} workers in a row ended while they ran this analysis; the server's log may say why"
                gone = _fail(tx, self._store, replace(job, token=next_token(tx)), "internal-error", detail)
            else:
                values = {"state": "queued", "worker": "", "crashes": crashes, "seconds_left": None}
                tx.execute(update(analyses).where(same).values(values | {"token": next_token(tx)}))
                note(tx, replace(job, state="queued", seconds_left=None))
        self._store.discard(gone)

    def _start_lease(self, tx: Connection, job: AnalysisJob, models_key: str) -> Lease:
        """A lease on a job that waits; it runs from now on."""
        token = next_token(tx)
        started = job.started_at or time.time()
        job = replace(job, state="running", started_at=started, token=token, models_key=models_key, detail=None)
        kept = ("state", "started_at", "token", "models_key", "detail")
        values = {name: getattr(job, name) for name in kept} | {"worker": self._worker}
        tx.execute(update(analyses).where(analyses.c.id == job.id).values(values))
        note(tx, job)
        return Lease(job, token)

    def requeue_all(self) -> None:
        """Put back all that this worker ran, once it is known to be dead."""
        with self._database.reading() as tx:
            mine = (analyses.c.worker == self._worker) & (analyses.c.state == "running")
            rows = tx.execute(select(analyses.c.id, analyses.c.token).where(mine)).all()
        for row in rows:
            self.requeue(row.id, row.token)


class LeaseWatch:
    """Remembers when each lease was last seen to change."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, int], float] = {}

    def find_lost(self, running: Iterable[tuple[str, int, int]], *, lease_s: float) -> list[tuple[str, int]]:
        """(id, token) of those of `running`, (id, token, beat), that have not changed for `lease_s`."""
        now = time.monotonic()
        self._seen = {key: self._seen.get(key, now) for key in running}
        return [(key[0], key[1]) for key, since in self._seen.items() if now - since >= lease_s]


def _mine(lease: Lease) -> Update:
    same = (analyses.c.id == lease.job.id) & (analyses.c.token == lease.token) & (analyses.c.state == "running")
    return update(analyses).where(same)


def _find_held(tx: Connection, lease: Lease) -> AnalysisJob | None:
    same = (analyses.c.id == lease.job.id) & (analyses.c.token == lease.token) & (analyses.c.state == "running")
    row = tx.execute(select(analyses).where(same)).first()
    return None if row is None else AnalysisJob.from_row(row)


def _current(tx: Connection, lease: Lease) -> AnalysisJob:
    job = _find_held(tx, lease)
    if job is None:
        raise LeaseLostError(lease.job.id)
    return job


def _fail(tx: Connection, store: SlideStore, job: AnalysisJob, problem: str, detail: str) -> DroppedSlide | None:
    ended = replace(job, state="failed", finished_at=time.time(), problem=problem, detail=detail, seconds_left=None)
    return end(tx, store, ended)


def _next(tx: Connection) -> AnalysisJob | None:
    """The queued analysis whose turn it is."""
    same = analyses.alias()
    turns = select(analyses.c.owner, func.max(analyses.c.token).label("last")).group_by(analyses.c.owner).subquery()
    twin = (
        select(same.c.id)
        .where(
            same.c.state == "running",
            same.c.owner == analyses.c.owner,
            same.c.request_key == analyses.c.request_key,
        )
        .exists()
    )
    chosen = (
        select(analyses)
        .join_from(analyses, turns, analyses.c.owner == turns.c.owner)
        .where(analyses.c.state == "queued", OWN, ~twin)
        .order_by(turns.c.last, analyses.c.priority.desc(), analyses.c.number)
        .limit(1)
    )
    row = tx.execute(chosen).first()
    return None if row is None else AnalysisJob.from_row(row)
