"""What runs analyses: takes them from the table one by one, scores, checkpoints, and writes what came out."""

import contextlib
import errno
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from serving.jobs.checkpoints import Checkpoints
from serving.jobs.crew import Crew
from serving.jobs.errors import LeaseLostError
from serving.jobs.leases import Lease, Leases
from serving.jobs.memory import give_back_memory
from serving.jobs.models import Loaded, Models
from serving.jobs.request import options_from
from serving.jobs.results import save_result
from serving.jobs.tile_cache import TileCache
from serving.observability import metrics
from serving.observability.logs import logged_analysis
from serving.observability.tracing import work_span
from serving.report import Report
from serving.scoring.cascade import TileFindings
from serving.scoring.detector import Detector, cards_of
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.pace import pace_of
from serving.scoring.pipeline import score_slide
from serving.store.slides import SlideStore
from serving.wsi.errors import BusyError, MitoserveError, ModelError

POLL_S = 0.1
"""Between two looks at the table by an idle worker, and between two looks whether an analysis was cancelled."""
FOLLOW_S = 0.5
"""Between two looks whether other models should serve."""
PROGRESS_S = 0.5
"""At most so often progress is written: people follow it, and each time costs a write to disk."""
RETRY_S = 5.0
"""How long a worker leaves a full disk or a locked database alone."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_T = TypeVar("_T")
_log = logging.getLogger("mitoserve.worker")


class StoppedError(Exception):
    """The worker was asked to stop."""


@dataclass(slots=True)
class Worker:
    """One worker with models of its own; `run` returns when `stop` is set."""

    id: str
    store: SlideStore
    crew: Crew
    models: Models
    stop: threading.Event
    _loaded: Loaded | None = None

    def run(self) -> None:
        """Run analyses until asked to stop, with the models that should serve at the time when each begins."""
        self._insist(lambda: self.crew.enter(self.id))
        lines = [
            threading.Thread(target=self._serve, name=f"analyses-{number}")
            for number in range(self.store.settings.max_running)
        ]
        for line in lines:
            line.start()
        while not self.stop.is_set():
            self._follow()
            self.stop.wait(FOLLOW_S)
        for line in lines:
            line.join()
        with contextlib.suppress(BusyError, OSError):
            self.crew.leave(self.id)

    def _follow(self) -> None:
        """Load what should serve and does not yet. What is loaded serves until that is done, and if it fails."""
        try:
            found = self.models.next(self._loaded)
        except (BusyError, OSError) as error:
            _log.warning("which models should serve cannot be read: %s", error)
        except Exception as error:
            _log.error(
                "the models could not be loaded: %s", error, exc_info=None if isinstance(error, ModelError) else error
            )
            reason, state = str(error), "failed" if self._loaded is None else "ready"
            self._insist(lambda: self.crew.failed(self.id, reason, state=state))
        else:
            if found is None:
                return
            self._insist(lambda: self.crew.ready(self.id, found.detector, found.key))
            self._loaded = found
            give_back_memory()
            self._insist(lambda: self.models.took(found))
            _log.info("new analyses run on %s", ", ".join(f"{c.name} {c.version}" for c in cards_of(found.detector)))

    def _serve(self) -> None:
        leases = Leases(self.store.database, self.store, self.id)
        lease_s = self.store.settings.lease_s
        while not self.stop.is_set():
            loaded = self._loaded  # an analysis ends on the models that it was claimed with
            if loaded is None:
                self.stop.wait(POLL_S)
                continue
            try:
                lease = leases.claim(loaded.key, lease_s=lease_s)
            except (BusyError, OSError) as error:
                _log.warning("the table of analyses does not answer: %s", error)
                self.stop.wait(RETRY_S)
                continue
            if lease is None:
                del loaded  # an idle line keeps no models that were replaced
                self.stop.wait(POLL_S)
            else:
                with logged_analysis(lease.job.id):
                    done = self._run(lease, leases, loaded.detector, loaded.key)
                if loaded is not self._loaded:
                    del loaded
                    give_back_memory()
                if not done:
                    self.stop.wait(RETRY_S)

    def _run(self, lease: Lease, leases: Leases, detector: Detector, models_key: str) -> bool:
        """Run one analysis to whatever end; False where it went back because the disk is full or the database locked."""
        running, stop_models = detector.stoppable() if isinstance(detector, OnnxDetector) else (detector, _nothing)
        heart = _Heart(lease, leases, self.stop, stop_models, self.store.settings.lease_s)
        try:
            with heart.beating(), work_span("analysis", analysis=lease.job.id):
                result, report = self._score(lease, leases, running, heart, models_key)
                self._insist(lambda: leases.succeed(lease, result))
        except Exception as error:
            return self._ended(lease, leases, heart, error)
        self._checkpoints(lease, models_key).remove()
        metrics.count_report(report)
        return True

    def _score(
        self, lease: Lease, leases: Leases, detector: Detector, heart: "_Heart", models_key: str
    ) -> tuple[str, Report]:
        """The folder of the result, and its report."""
        job, checkpoints = lease.job, self._checkpoints(lease, models_key)
        progress = _Progress(lease, leases, heart)

        def keep(chunk: Sequence[TileFindings]) -> None:
            heart.check()
            checkpoints.save(chunk)
            metrics.count_tiles(len(chunk))
            with contextlib.suppress(BusyError):
                leases.advanced(lease)

        options, state = options_from(job.options), self.store.settings.state
        with self.store.open(job.sha256, name=job.name, lines=pace_of(detector.provider).readers) as slide:
            cache = TileCache(state, job.sha256, detector, options, slide.mpp)
            seen = cache.load()
            analysis = score_slide(
                slide,
                detector,
                options,
                on_progress=progress.step,
                finished=checkpoints.load(),
                on_finished=keep,
                seen=seen,
            )
        heart.check()
        result = f"{job.id}-{lease.token}"
        save_result(analysis, state / "results", result)
        cache.keep(checkpoints.folder, result, seen)
        return result, analysis.report

    def _ended(self, lease: Lease, leases: Leases, heart: "_Heart", error: Exception) -> bool:
        """Write what an error means for the analysis. What the models raised because they were stopped means nothing."""
        if isinstance(error, LeaseLostError) or heart.lost:
            _log.info("analysis %s was cancelled or taken over", lease.job.id)
            return True
        if isinstance(error, StoppedError) or self.stop.is_set():
            with contextlib.suppress(BusyError, OSError):
                leases.release(lease)
            return True
        if isinstance(error, BusyError) or (isinstance(error, OSError) and error.errno in DISK_FULL):
            _log.warning("analysis %s has to wait: %s", lease.job.id, error)
            self._insist(lambda: leases.release(lease, "waits for room on the server's disk, or for its database"))
            return False
        if isinstance(error, MitoserveError):
            slug, detail = error.slug, str(error)
        else:
            instance = f"urn:uuid:{uuid.uuid4()}"
            _log.error("analysis %s failed, %s", lease.job.id, instance, exc_info=error)
            slug, detail = "internal-error", f"An unexpected error; the server's log has it under {instance}."
        with contextlib.suppress(LeaseLostError):
            self._insist(lambda: leases.fail(lease, slug, detail))
        return True

    def _checkpoints(self, lease: Lease, models_key: str) -> Checkpoints:
        key = f"{lease.job.request_key[:32]}-{models_key[:32]}"
        return Checkpoints(self.store.settings.state / "checkpoints", lease.job.id, key)

    def _insist(self, write: Callable[[], _T]) -> _T:
        """What `write` gives, as often as the database has to be asked; when stopping, only once."""
        while True:
            try:
                return write()
            except (BusyError, OSError) as error:
                if self.stop.is_set():
                    raise
                _log.warning("the database cannot be written, trying again: %s", error)
                self.stop.wait(RETRY_S / 5)


class _Heart:
    """Beats while an analysis runs, and notices when it is not this worker's any more."""

    def __init__(
        self, lease: Lease, leases: Leases, stop: threading.Event, stop_models: Callable[[], None], lease_s: float
    ) -> None:
        self._lease, self._leases, self._stop, self._stop_models = lease, leases, stop, stop_models
        self._lease_s = lease_s
        self._over = threading.Event()
        self.lost = False

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat in a thread of its own until the context ends."""
        thread = threading.Thread(target=self._beat, name="heart")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def check(self) -> None:
        """Raise where the analysis must stop."""
        if self.lost:
            raise LeaseLostError(self._lease.job.id)
        if self._stop.is_set():
            raise StoppedError

    def _beat(self) -> None:
        beaten = time.monotonic()
        while not self._over.wait(POLL_S):
            try:
                if time.monotonic() - beaten > self._lease_s / 5:
                    self.lost = not self._leases.beat(self._lease)
                    beaten = time.monotonic()
                else:
                    self.lost = not self._leases.holds(self._lease)
            except (BusyError, OSError) as error:
                _log.warning("no beat: %s", error)  # whoever would take the lease over cannot write either
            if self.lost or self._stop.is_set():
                self._stop_models()
                return


class _Progress:
    """Writes how far an analysis is, not too often, with the time that is left by the tiles of this run."""

    def __init__(self, lease: Lease, leases: Leases, heart: _Heart) -> None:
        self._lease, self._leases, self._heart = lease, leases, heart
        self._first: tuple[int, float] | None = None
        self._written = -PROGRESS_S

    def step(self, done: int, total: int) -> None:
        """See `score_slide`."""
        self._heart.check()
        now = time.monotonic()
        if self._first is None:
            self._first = (done, now)
        if now - self._written < PROGRESS_S and done != total:
            return
        first, started = self._first
        left = (now - started) / (done - first) * (total - done) if done > first else None
        try:
            self._leases.progress(self._lease, done, total, left)
        except (BusyError, OSError) as error:
            _log.warning("progress was not written: %s", error)
        self._written = now


def _nothing() -> None:
    """What models that cannot be stopped do when they should: they end their tile."""
