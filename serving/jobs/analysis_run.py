"""One analysis under its lease: what is kept of it as it goes on, what is known of its tiles, and its result."""

import contextlib
from collections.abc import Sequence

from serving.core.errors import BusyError
from serving.jobs.checkpoints import Checkpoints
from serving.jobs.heartbeat import Heartbeat, ProgressWriter
from serving.jobs.job import decode_options
from serving.jobs.leases import Lease, Leases
from serving.jobs.results import save_result
from serving.jobs.shadows import find_owner, save_pair, shadow_options
from serving.jobs.tile_cache import TileCache
from serving.observability import metrics
from serving.scoring.analysis import Analysis
from serving.scoring.detector import AnyDetector
from serving.scoring.order import ORDER
from serving.scoring.preliminary import Preliminary
from serving.scoring.slide_runner import SlideRun, SlideRunner
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.slides.slide import Slide
from serving.store.slides import SlideStore


class AnalysisRun(SlideRun):
    """The run of one analysis, which ends where the lease is lost or the worker stops; see `SlideRun`."""

    def __init__(
        self,
        store: SlideStore,
        lease: Lease,
        leases: Leases,
        heartbeat: Heartbeat,
        detector: AnyDetector,
        *,
        models_key: str,
    ) -> None:
        self._store, self._lease, self._leases, self._heartbeat = store, lease, leases, heartbeat
        self._job, self._detector = lease.job, detector
        self._asked = decode_options(self._job.options)
        self._options = self._asked if self._job.shadow is None else shadow_options(self._asked, detector)
        key = f"{self._job.request_key[:32]}-{models_key[:32]}-{ORDER}"
        self._checkpoints = Checkpoints(store.kept, self._job.id, key)
        self._progress = ProgressWriter(lease, leases, heartbeat)
        self._cache: TileCache | None = None
        self._seen = FindingsCache()
        self._look = ""
        self._kept = False
        """Whether a chunk was kept of which the table does not know."""

    def score(self) -> tuple[str, Analysis]:
        """The folder of the result, and the analysis.

        Raises
        ------
        MitoserveError, OSError
            As `SlideRunner.run`; or if the slide's bytes changed meanwhile, or the result cannot be kept.
        LeaseLostError, StoppedError
            If the run has to end.
        """
        job, check = self._job, self._heartbeat.check
        with self._store.files.at_hand(job.sha256, going=check) as (path, self._look):
            runner = SlideRunner(self._store.decoders)
            analysis = runner.run(path, self._detector, self._options, name=job.name, sha256=job.sha256, run=self)
            self._check_intact()
        check()
        stem = f"{job.id}-{self._lease.token}"
        if job.shadow is None:
            result = save_result(analysis, self._store.kept, stem)
        else:
            result = save_pair(analysis, self._asked, self._detector, store=self._store, job=job, stem=stem)
        if self._cache is not None:
            self._cache.keep(self._checkpoints.folder, result, self._seen)
        return result, analysis

    def count(self, done: int, total: int) -> None:
        """See `SlideRun.count`."""
        self._progress.step(done, total)

    def load(self) -> Sequence[TileFindings]:
        """See `SlideRun.load`."""
        return self._checkpoints.load()

    def keep(self, chunk: Sequence[TileFindings]) -> None:
        """See `SlideRun.keep`."""
        self._heartbeat.check()
        self._check_intact()  # nothing is kept of bytes that changed meanwhile
        self._checkpoints.save(chunk)
        self._kept = True
        if self._job.shadow is None:
            metrics.count_tiles(len(chunk))

    def preview(self, known: Preliminary) -> None:
        """See `SlideRun.preview`."""
        with contextlib.suppress(BusyError):
            told = known.tiles_counted == known.tiles_done  # figures were counted again
            self._leases.note_preliminary(self._lease, known.model_dump_json(), kept=self._kept, tell=told)
            self._kept = False

    def recall(self, slide: Slide) -> FindingsCache:
        """See `SlideRun.recall`."""
        owner = find_owner(self._store.database, self._job)
        self._cache = TileCache(
            self._store.settings, self._job.sha256, self._detector, self._options, slide.mpp, owner=owner
        )
        self._seen = self._cache.load()
        return self._seen

    def forget(self) -> None:
        """Remove the checkpoints: the result is kept."""
        self._checkpoints.remove()

    def _check_intact(self) -> None:
        self._store.files.check_intact(self._job.sha256, since=self._look)
