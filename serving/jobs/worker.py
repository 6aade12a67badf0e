"""What runs analyses: takes them from the table one by one, scores, checkpoints, and writes what came out."""

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection

from serving.core.errors import BusyError, MitoserveError, ModelError, is_disk_full
from serving.drift.statistics import collect_statistics
from serving.drift.watch import store_statistics
from serving.jobs.analysis_run import AnalysisRun
from serving.jobs.heartbeat import POLL_S, Heartbeat, StoppedError
from serving.jobs.job import AnalysisJob, LeaseLostError, decode_options
from serving.jobs.leases import Lease, Leases
from serving.jobs.models import LoadedModels, ModelSource
from serving.jobs.result_summary import summarize
from serving.jobs.worker_registry import WorkerRegistry
from serving.observability import metrics
from serving.observability.logs import log_analysis
from serving.observability.tracing import work_span
from serving.scoring.analysis import Analysis
from serving.scoring.detector import AnyDetector, list_released_cards
from serving.scoring.onnx_detector import ReleasedDetector
from serving.scoring.sessions import give_back_memory
from serving.store.errors import SlideReplacedError
from serving.store.slides import SlideStore

FOLLOW_S = 0.5
"""Between two looks whether other models should serve."""
RETRY_S = 5.0
"""How long a worker leaves a full disk or a locked database alone."""

_T = TypeVar("_T")
_log = logging.getLogger("mitoserve.worker")


@dataclass(slots=True)
class Worker:
    """One worker with models of its own; `run` returns when `stop` is set."""

    id: str
    store: SlideStore
    worker_registry: WorkerRegistry
    models: ModelSource
    stop: threading.Event
    _loaded: LoadedModels | None = None
    _candidate: LoadedModels | None = None
    _named: LoadedModels | None = None
    """The release that somebody named last; the next analysis with it waits for nothing."""
    _naming: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Run analyses until asked to stop, with the models that should serve at the time when each begins."""
        self._retry_until_committed(lambda: self.worker_registry.enter(self.id))
        lines = [
            threading.Thread(target=self._serve, name=f"analyses-{number}")
            for number in range(self.store.settings.max_running)
        ]
        lines.append(threading.Thread(target=self._serve_shadow, name="shadow"))
        for line in lines:
            line.start()
        while not self.stop.is_set():
            self._follow()
            self._follow_shadow()
            self.stop.wait(FOLLOW_S)
        for line in lines:
            line.join()
        with contextlib.suppress(BusyError, OSError):
            self.worker_registry.leave(self.id)

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
            self._retry_until_committed(lambda: self.worker_registry.note_failure(self.id, reason, state=state))
        else:
            if found is None:
                return
            self._retry_until_committed(lambda: self.worker_registry.ready(self.id, found.detector, found.key))
            self._loaded = found
            give_back_memory()
            self._retry_until_committed(lambda: self.models.took(found))
            _log.info(
                "new analyses run on %s",
                ", ".join(f"{c.name} {c.version}" for c in list_released_cards(found.detector)),
            )

    def _follow_shadow(self) -> None:
        """Hold the models of the shadow that runs, once what serves is loaded."""
        if self._loaded is None:
            return
        try:
            found = self.models.shadow(self._candidate)
        except (BusyError, OSError) as error:
            _log.warning("which shadow runs cannot be read: %s", error)
        except Exception as error:
            _log.error("the shadow's models could not be loaded", exc_info=error)
        else:
            if found is not self._candidate:
                self._candidate = found
                give_back_memory()
                if found is not None:
                    _log.info("a shadow runs on %s", ", ".join(model.label for model in found.models))

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
                with log_analysis(lease.job.id):
                    done = self._run_chosen(lease, leases, loaded)
                if loaded is not self._loaded:
                    del loaded
                    give_back_memory()
                if not done:
                    self.stop.wait(RETRY_S)

    def _run_chosen(self, lease: Lease, leases: Leases, loaded: LoadedModels) -> bool:
        """Run one analysis on the release that it names, else on `loaded`; gives what `_run` does."""
        release = decode_options(lease.job.options).release
        if release is None:
            return self._run(lease, leases, loaded.detector, loaded.key)
        heartbeat = Heartbeat(lease, leases, self.stop, _nothing, self.store.settings.lease_s)
        try:
            with heartbeat.beating():  # a release takes seconds to load
                chosen = self._load_named(release, loaded)
                self._retry_until_committed(lambda: leases.note_models(lease, chosen.key))
        except Exception as error:
            return self._end(lease, leases, heartbeat, error)
        return self._run(lease, leases, chosen.detector, chosen.key)

    def _load_named(self, release: int, loaded: LoadedModels) -> LoadedModels:
        """The models of a release, which are kept until another one is named."""
        with self._naming:
            found = loaded if loaded.release == release else self._named
            if found is None or found.release != release:
                self._named = None  # two beside what serves would need its memory twice
                give_back_memory()
                found = self._named = self.models.named(release)
                _log.info("release %d is loaded, which an analysis names", release)
            return found

    def _serve_shadow(self) -> None:
        """Run a shadow's analyses in a line of its own: whoever comes meanwhile finds a free one and does not wait for its end."""
        leases = Leases(self.store.database, self.store, self.id)
        while not self.stop.is_set():
            candidate, lease = self._candidate, None
            try:
                if candidate is not None:
                    lease = leases.claim_shadow(candidate.release, candidate.key)
            except (BusyError, OSError) as error:
                _log.warning("the table of analyses does not answer: %s", error)
                self.stop.wait(RETRY_S)
            if candidate is None or lease is None:
                del candidate
                self.stop.wait(POLL_S)
                continue
            with log_analysis(lease.job.id):
                done = self._run(lease, leases, candidate.detector, candidate.key)
            if candidate is not self._candidate:
                del candidate
                give_back_memory()
            if not done:
                self.stop.wait(RETRY_S)

    def _run(self, lease: Lease, leases: Leases, detector: AnyDetector, models_key: str) -> bool:
        """Run one analysis to whatever end; False where it went back because a disk is full or a store does not answer."""
        running, stop_models = detector.stoppable() if isinstance(detector, ReleasedDetector) else (detector, _nothing)
        heartbeat = Heartbeat(lease, leases, self.stop, stop_models, self.store.settings.lease_s)
        try:
            with heartbeat.beating(), work_span("analysis", analysis=lease.job.id):
                run = AnalysisRun(self.store, lease, leases, heartbeat, running, models_key=models_key)
                result, analysis = run.score()
                keep, summary = self._statistics(lease, analysis), summarize(analysis.report)
                self._retry_until_committed(lambda: leases.succeed(lease, result, keep, summary=summary))
        except Exception as error:
            return self._end(lease, leases, heartbeat, error)
        with contextlib.suppress(BusyError):  # what is left is swept
            run.forget()
        if lease.job.shadow is None:
            metrics.count_report(analysis.report)
        return True

    def _statistics(self, lease: Lease, analysis: Analysis) -> Callable[[Connection, AnalysisJob], None]:
        """What keeps the statistics of an analysis by which drift is watched; a slide without them is as good as any."""
        if lease.job.shadow is not None:
            return lambda *_: None
        try:
            found = collect_statistics(analysis)
        except Exception as error:
            _log.error("analysis %s has no statistics", lease.job.id, exc_info=error)
            found = None
        if found is None:
            return lambda *_: None
        screening, enough = analysis.report.map_model.sha256, self.store.settings.drift_analyses
        return lambda tx, job: store_statistics(tx, job.id, job.sha256, found, screening=screening, enough=enough)

    def _end(self, lease: Lease, leases: Leases, heartbeat: Heartbeat, error: Exception) -> bool:
        """Write what an error means for the analysis. What the models raised because they were stopped means nothing."""
        if isinstance(error, LeaseLostError) or heartbeat.lost:
            _log.info("analysis %s was cancelled, taken over or gave way", lease.job.id)
            if lease.job.shadow is not None:
                with contextlib.suppress(BusyError, OSError):
                    self._retry_until_committed(lambda: leases.release(lease))
            return True
        if isinstance(error, StoppedError) or self.stop.is_set():
            with contextlib.suppress(BusyError, OSError):
                leases.release(lease)
            return True
        if isinstance(error, BusyError) or is_disk_full(error):
            _log.warning("analysis %s has to wait: %s", lease.job.id, error)
            why = "waits for room on the server's disk, or for its database or objects"
            if isinstance(error, SlideReplacedError):
                why = str(error)
            self._retry_until_committed(lambda: leases.release(lease, why))
            return False
        if isinstance(error, MitoserveError):
            slug, detail = error.slug, str(error)
        else:
            instance = f"urn:uuid:{uuid.uuid4()}"
            _log.error("analysis %s failed, %s", lease.job.id, instance, exc_info=error)
            slug, detail = "internal-error", f"An unexpected error; the server's log has it under {instance}."
        with contextlib.suppress(LeaseLostError):
            self._retry_until_committed(lambda: leases.fail(lease, slug, detail))
        return True

    def _retry_until_committed(self, write: Callable[[], _T]) -> _T:
        """What `write` gives, as often as the database has to be asked; when stopping, only once."""
        while True:
            try:
                return write()
            except (BusyError, OSError) as error:
                if self.stop.is_set():
                    raise
                _log.warning("the database cannot be written, trying again: %s", error)
                self.stop.wait(RETRY_S / 5)


def _nothing() -> None:
    """What models that cannot be stopped do when they should: they end their tile."""
