"""`python -m serving.jobs SERVER WORKER`: a worker process. It ends when its parent does, and then gives back what it ran."""

import os
import signal
import sys
import threading

from serving.jobs.models import ReleasedModels
from serving.jobs.worker import Worker
from serving.jobs.worker_registry import WorkerRegistry
from serving.observability.logs import configure_logging
from serving.observability.tracing import configure_tracing
from serving.registry.registry import ModelRegistry
from serving.settings import ServerSettings
from serving.store.database import open_database
from serving.store.decoding import open_decoders
from serving.store.slides import SlideStore


def main(server: str, worker: str) -> None:
    """Run analyses until the parent closes standard input, or SIGTERM comes."""
    settings = ServerSettings.from_environment()
    configure_logging(settings.log_format)
    configure_tracing(settings.traces_endpoint)
    stop = threading.Event()
    stop_at_sigterm(stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on a terminal's Ctrl-C the server decides
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    database = open_database(settings)
    decoders = open_decoders(settings)
    try:
        store = SlideStore(database, settings, decoders)
        models = ReleasedModels(ModelRegistry(settings, database))
        Worker(worker, store, WorkerRegistry(database, server), models, stop).run()
    finally:
        decoders.close()
        database.close()


def stop_at_sigterm(stop: threading.Event) -> None:
    """Let a thread of its own set `stop` when this process is asked to end; call it in the main thread.

    A handler interrupts the main thread anywhere, also where that holds the lock of `stop`, and would wait for it for ever.
    """
    heard, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGTERM, lambda *_: None)  # for a signal that has a handler, Python writes to the pipe

    def wait() -> None:
        os.read(heard, 1)
        stop.set()

    threading.Thread(target=wait, name="stop", daemon=True).start()


def _watch_parent(stop: threading.Event) -> None:
    while os.read(0, 1):  # not sys.stdin, which Python locks and then cannot close while this waits
        pass
    stop.set()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
