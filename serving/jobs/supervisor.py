"""Keeps one worker process alive, and puts back what a dead one ran."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
import uuid

from serving.core.errors import BusyError
from serving.jobs.leases import Leases
from serving.jobs.worker_registry import WorkerRegistry
from serving.store.slides import SlideStore

STOP_S = 30.0
"""A worker that is asked to stop ends within a tile and writes that; after this it is killed."""
_STEADY_S = 30.0
_MAX_REST_S = 30.0

_log = logging.getLogger("mitoserve.supervisor")


class Supervisor:
    """Starts a worker, waits for its end, starts another."""

    def __init__(
        self, store: SlideStore, worker_registry: WorkerRegistry, server: str, command: list[str] | None = None
    ) -> None:
        self._store, self._worker_registry, self._server = store, worker_registry, server
        self._command = command or [sys.executable, "-m", "serving.jobs"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")

    def start(self) -> None:
        """Start the first worker."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker, after what it has finished is written."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        rest = 0.5
        while not self._stop.is_set():
            worker, started = uuid.uuid4().hex, time.monotonic()
            with self._start_worker(worker) as process:
                while process.poll() is None and not self._stop.wait(0.1):
                    pass
                if self._stop.is_set():
                    _end_process(process)
            self._requeue_after(worker)
            if not self._stop.is_set():
                _log.error("worker %s ended with status %s; another is started", worker, process.returncode)
                rest = 0.5 if time.monotonic() - started > _STEADY_S else min(rest * 2, _MAX_REST_S)
                self._stop.wait(rest)

    def _start_worker(self, worker: str) -> "subprocess.Popen[bytes]":
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        environment = {**os.environ, **self._store.settings.environment(), "PYTHONPATH": path}
        return subprocess.Popen([*self._command, self._server, worker], env=environment, stdin=subprocess.PIPE)

    def _requeue_after(self, worker: str) -> None:
        """Put back what a dead worker ran; where the database does not answer, its leases run out by themselves."""
        with contextlib.suppress(BusyError, OSError):
            Leases(self._store.database, self._store, worker).requeue_all()
            self._worker_registry.leave(worker)


def _end_process(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
