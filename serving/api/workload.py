"""What one server process holds and shares among requests: the models, and the line in front of them."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from serving.api.spool import open_spool
from serving.observability import metrics
from serving.scoring.detector import Detector
from serving.settings import Settings
from serving.wsi.errors import BusyError, ModelError

_T = TypeVar("_T")

_log = logging.getLogger("mitoserve.http")

Progress = Callable[[int, int], None]


class Workload:
    """Loads the models in the background, admits a bounded number of slides, and scores them one after the other."""

    def __init__(self, settings: Settings, load: Callable[[], Detector]) -> None:
        self.settings = settings
        self._load = load
        self._detector: Future[Detector] = Future()
        self._limiter: anyio.CapacityLimiter | None = None
        self._spool: Path | None = None
        self._at_server = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the models and hold the upload folder for as long as the server runs."""
        with open_spool(self.settings.uploads) as self._spool:
            self._limiter = anyio.CapacityLimiter(self.settings.max_running)
            loader = ThreadPoolExecutor(1, "load-models")
            self._detector = loader.submit(self._load)
            self._detector.add_done_callback(_log_failure)
            loader.shutdown(wait=False)
            yield

    @property
    def detector(self) -> Detector:
        """The loaded models.

        Raises
        ------
        ModelError
            If they are still loading, or could not be loaded; the message says why.
        """
        if not self._detector.done():
            raise ModelError("the models are still loading; try again in a moment")
        error = self._detector.exception()
        if error is not None:
            raise ModelError(f"the models could not be loaded: {error}") from error
        return self._detector.result()

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A place in the line for one request, from its upload to its answer; gives the folder for the upload.

        Raises
        ------
        BusyError
            If all places are taken.
        """
        limit = self.settings.max_running + self.settings.max_waiting
        if self._spool is None:
            raise BusyError("the server is starting or stopping; try again in a moment")
        if self._at_server >= limit:
            raise BusyError(f"{limit} slides are at this server already, which is its limit; try again later")
        self._move(1)
        try:
            yield self._spool
        finally:
            self._move(-1)

    async def run(self, work: Callable[[Progress], _T], receive: Receive) -> _T:
        """The result of `work`, run in a thread when its turn comes; it is stopped when the client goes away.

        `work` calls the function that it is given after each step; `receive` is the request's, its body consumed.

        Raises
        ------
        ClientDisconnect
            If the client went away first.
        """
        gone = threading.Event()

        def progress(_done: int, _total: int) -> None:
            if gone.is_set():
                raise ClientDisconnect

        with anyio.CancelScope() as waiting:
            watcher = asyncio.create_task(_watch(receive, gone, waiting))
            try:
                return await run_sync(lambda: work(progress), limiter=self._limiter)
            finally:
                gone.set()
                watcher.cancel()
        raise ClientDisconnect

    def _move(self, by: int) -> None:
        self._at_server += by
        metrics.set_at_server(self._at_server)


async def _watch(receive: Receive, gone: threading.Event, waiting: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
    waiting.cancel()


def _log_failure(loading: "Future[Detector]") -> None:
    error = loading.exception()
    if error is not None:
        _log.error(
            "the models could not be loaded: %s", error, exc_info=None if isinstance(error, ModelError) else error
        )
