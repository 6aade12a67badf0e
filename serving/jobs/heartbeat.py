"""What beats and watches while an analysis runs, and what writes how far it is."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.core.errors import BusyError
from serving.jobs.job import LeaseLostError
from serving.jobs.leases import Lease, Leases

POLL_S = 0.1
"""Between two looks at the table by an idle worker, and between two looks whether an analysis was cancelled."""
PROGRESS_S = 0.5
"""At most so often progress is written: people follow it, and each time costs a write to disk."""

_log = logging.getLogger("mitoserve.worker")


class StoppedError(Exception):
    """The worker was asked to stop."""


class Heartbeat:
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
        thread = threading.Thread(target=self._beat, name="heartbeat")
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
                _log.warning("no beat: %s", error)  # whoever takes the lease over meanwhile has a higher token
            if self.lost or self._stop.is_set():
                self._stop_models()
                return


class ProgressWriter:
    """Writes how far an analysis is, not too often, with the time that is left by the tiles of this run."""

    def __init__(self, lease: Lease, leases: Leases, heartbeat: Heartbeat) -> None:
        self._lease, self._leases, self._heart = lease, leases, heartbeat
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
