"""What one server process holds and shares among requests: the stores, the table of analyses, and those who work on it."""

import contextlib
import logging
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import anyio
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from serving.api.analysis import location
from serving.api.problems import StoppingError
from serving.core.errors import BusyError, MitoserveError, ModelError
from serving.core.options import ScoringOptions
from serving.drift.watch import DriftMonitor
from serving.exports.sheet_pictures import read_views
from serving.isolation.decoders import Decoders
from serving.jobs.job import AnalysisJob
from serving.jobs.models import GivenModels
from serving.jobs.renumbering import renumber
from serving.jobs.retention import Sweeper
from serving.jobs.sending import Sender
from serving.jobs.shadows import ShadowRecord
from serving.jobs.supervisor import Supervisor
from serving.jobs.table import JobTable
from serving.jobs.webhooks import Deliverer
from serving.jobs.worker import Worker
from serving.jobs.worker_registry import WorkerRegistry
from serving.observability import metrics
from serving.registry.registry import ModelRegistry
from serving.review.record_watch import RecordWatch
from serving.scoring.analysis import Analysis
from serving.scoring.detector import AnyDetector, check_triage
from serving.settings import ServerSettings
from serving.store.database import Database, open_database
from serving.store.decoding import open_decoders
from serving.store.open_slides import OpenSlides
from serving.store.places import list_kept_names
from serving.store.quotas import IncomingBytes
from serving.store.resumable import Uploads
from serving.store.slides import SlideStore
from serving.store.spool import open_spool

FIRST_LOOK_S, LAST_LOOK_S = 0.02, 0.5
"""A waiting request looks at its analysis at growing distances: quick ones answer at once, long ones cost little."""

_log = logging.getLogger("mitoserve.http")


class Workload:
    """Opens the stores, keeps a worker running, and admits a bounded number of requests that wait for a result."""

    def __init__(self, settings: ServerSettings, load: Callable[[], AnyDetector] | None) -> None:
        self.settings = settings
        self.decoders = open_decoders(settings)
        self.arriving = IncomingBytes()
        self._load = load
        self._at_server = 0
        self._open: _OpenResources | None = None
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold everything open for as long as the server runs."""
        self._stopping = False
        with contextlib.ExitStack() as stack:
            await run_sync(self._start, stack)
            with notice_stop(self.stop_waiting):
                yield
            self._open = None
            with anyio.CancelScope(shield=True):
                await run_sync(stack.pop_all().close)

    @property
    def is_open(self) -> bool:
        """Whether the server runs, neither starting nor stopping."""
        return self._open is not None and not self._stopping

    def stop_waiting(self) -> None:
        """Let no request wait any longer: the server is about to stop."""
        self._stopping = True

    @property
    def database(self) -> Database:
        """What is kept in tables."""
        return self._resources.database

    @property
    def store(self) -> SlideStore:
        """The slides."""
        return self._resources.store

    @property
    def open_slides(self) -> OpenSlides:
        """The slides that are looked at."""
        return self._resources.open_slides

    @property
    def uploads(self) -> Uploads:
        """The resumable uploads."""
        return self._resources.uploads

    @property
    def jobs(self) -> JobTable:
        """The analyses."""
        return self._resources.jobs

    @property
    def records(self) -> RecordWatch:
        """How far the records of reviews and regions have come."""
        return self._resources.records

    @property
    def worker_registry(self) -> WorkerRegistry:
        """The workers and their models."""
        return self._resources.worker_registry

    @property
    def registry(self) -> ModelRegistry:
        """The versions of models."""
        return self._resources.registry

    @property
    def shadows(self) -> ShadowRecord:
        """What shadows have gathered."""
        return self._resources.shadows

    @property
    def drift(self) -> DriftMonitor:
        """What is known of slides lately."""
        return self._resources.drift

    @property
    def spool(self) -> Path:
        """Folder for what arrives."""
        return self._resources.spool

    def check_models(self, options: ScoringOptions) -> None:
        """Refuse what the models that are loaded cannot do; while none are, an analysis says so itself when it runs.

        Raises
        ------
        RequestError
            If the options ask for a fast analysis and the release has no triage model.
        NotFoundError
            If they name a release that has not served here, or may serve no more.
        """
        if options.release is not None:
            self.registry.releases.require_served(options.release)
            return  # what it can do is known once it is loaded
        if options.cascade != "fast":
            return
        with contextlib.suppress(ModelError):
            check_triage(self.worker_registry.cards())

    def find_models_key(self, options: ScoringOptions) -> str | None:
        """Key of the models that would run now; None while that is not known."""
        return None if options.release is not None else self.worker_registry.models_key()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one request that waits for its result, from its upload to its answer.

        Raises
        ------
        BusyError
            If all places are taken.
        """
        limit = self.settings.max_running + self.settings.max_waiting
        if self._at_server >= limit:
            raise BusyError(
                f"{limit} requests wait for their result already, which is this server's limit; try again later, "
                "or send 'Prefer: respond-async' and ask for the result when it is there"
            )
        self._move(1)
        try:
            yield
        finally:
            self._move(-1)

    async def wait_until_ended(self, job: AnalysisJob, receive: Receive) -> AnalysisJob:
        """The analysis when it has ended; where the client goes away first, it is cancelled.

        receive : the request's, its body consumed

        Raises
        ------
        ClientDisconnect
            If the client went away.
        StoppingError
            If the server is about to stop; the analysis goes on when it is back.
        """
        gone = False

        async def watch(scope: anyio.CancelScope) -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            rest = FIRST_LOOK_S
            while not job.finished and self.is_open:
                await anyio.sleep(rest)
                rest = min(rest * 1.3, LAST_LOOK_S)
                job = await run_sync(partial(self.jobs.get, job.id, owner=None))
            group.cancel_scope.cancel()
        if gone and not job.finished:
            with anyio.CancelScope(shield=True):
                await run_sync(lambda: self.jobs.cancel(job.id, owner=None))
            raise ClientDisconnect
        if not job.finished:
            raise StoppingError(location(job))
        return job

    @property
    def _resources(self) -> "_OpenResources":
        if self._open is None:
            raise BusyError("the server is starting or stopping; try again in a moment")
        return self._open

    def _start(self, stack: contextlib.ExitStack) -> None:
        database = open_database(self.settings)
        stack.callback(database.close)
        stack.callback(self.decoders.close)
        spool = stack.enter_context(open_spool(self.settings.state / "incoming"))
        opened = _OpenResources(database, self.settings, self.decoders, spool)
        opened.store.kept.start(database)
        with database.reading() as tx:
            names = list_kept_names(tx)
        opened.store.kept.adopt(self.settings.state, names)
        renumber(opened.store)
        stack.callback(opened.open_slides.close)
        sender = Sender(opened.store, self._count_signed, partial(_attach_views, opened.open_slides))
        for part in (Deliverer(database, self.settings), sender, Sweeper(opened.store, opened.uploads)):
            part.start()
            stack.callback(part.stop)
        if self._load is None:
            supervisor = Supervisor(opened.store, opened.worker_registry, opened.server)
            supervisor.start()
            stack.callback(supervisor.stop)
        else:
            stack.callback(_worker_here(opened, self._load))
        self._open = opened

    def attach_views(self, job: AnalysisJob, analysis: Analysis) -> Analysis:
        """The analysis with the pixels that a printed report shows; without them where the slide is gone or cannot be read."""
        return _attach_views(self.open_slides, job, analysis)

    def _count_signed(self, job: AnalysisJob, analysis: Analysis, signature: int) -> Analysis:
        """The analysis as it was counted when it was signed."""
        from serving.api.recounting import recount_as_signed  # noqa: PLC0415 - which counts for this class

        return recount_as_signed(self, job.id, analysis, signature, you="")

    def _move(self, by: int) -> None:
        self._at_server += by
        metrics.set_waiting(self._at_server)


def _attach_views(slides: OpenSlides, job: AnalysisJob, analysis: Analysis) -> Analysis:
    try:
        with slides.using(job.sha256) as slide:
            return replace(analysis, views=read_views(slide, analysis.report))
    except BusyError:
        raise
    except MitoserveError:
        return analysis


class _OpenResources:
    """What is open while the server runs."""

    def __init__(self, database: Database, settings: ServerSettings, decoders: Decoders, spool: Path) -> None:
        self.server = uuid.uuid4().hex
        self.database = database
        self.store = SlideStore(database, settings, decoders)
        self.open_slides = OpenSlides(self.store)
        if decoders.budget is not None:
            decoders.budget.when_short(self.open_slides.close_unused)
        self.uploads = Uploads(database, self.store, settings)
        self.jobs = JobTable(database, self.store)
        self.records = RecordWatch(database)
        self.worker_registry = WorkerRegistry(database, self.server)
        self.registry = ModelRegistry(settings, database)
        self.shadows = ShadowRecord(database, self.store.kept)
        self.drift = DriftMonitor(database, settings.drift_analyses)
        self.spool = spool


def _worker_here(opened: _OpenResources, load: Callable[[], AnyDetector]) -> Callable[[], None]:
    """Start a worker in this process, which a caller's own models need; gives what stops it."""
    stop = threading.Event()
    worker = Worker(uuid.uuid4().hex, opened.store, opened.worker_registry, GivenModels(load), stop)
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def notice_stop(on_stop: Callable[[], None]) -> Iterator[None]:
    """Call `on_stop` when this process is asked to end, then do what was to be done at that signal.

    ASGI servers first wait for their requests and only then tell the app, but a request that waits for an analysis, or
    follows one, ends by the app's word alone. Outside the main thread, where no signal arrives, nothing is noticed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in _SIGNALS}

    def notice(number: int, frame: FrameType | None) -> None:
        on_stop()
        then = former[signal.Signals(number)]
        if callable(then):
            then(number, frame)

    for number in _SIGNALS:
        if callable(former[number]):
            signal.signal(number, notice)
    try:
        yield
    finally:
        for number, handler in former.items():
            if callable(handler) and signal.getsignal(number) is notice:
                signal.signal(number, handler)
