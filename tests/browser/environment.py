"""A real server on a port of its own, in a thread, with a slide of planted dots."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from serving.api.app import create_app
from serving.scoring.detector import Detector
from serving.settings import ServerSettings
from tests.e2e.processes import free_port
from tests.fakes import DotDetector, plant, tissue
from tests.samples import write_pyramid
from tests.services import Blocking, until

WIDTH, HEIGHT = 2400, 1900
WHOLE = ((500, 600), (620, 700), (760, 560), (900, 900), (2100, 1500), (1500, 1200))
"""Dots that are certain figures."""
PARTIAL = {(1200, 1600): 20, (1900, 600): 18}
"""Side by place of dots that are less certain: .69 and .56."""


@dataclass(frozen=True, slots=True)
class BrowserEnvironment:
    """Where the server answers."""

    address: str
    state: Path


def draw_dotted_slide(path: Path, **options: Any) -> Path:
    """A slide of tissue with dots, as a pyramidal TIFF; options as `write_pyramid`."""
    pixels = tissue(WIDTH, HEIGHT)
    for x, y in WHOLE:
        plant(pixels, x, y)
    for (x, y), side in PARTIAL.items():
        plant(pixels, x, y, side=side)
    return write_pyramid(path, pixels, levels=4, **options)


@contextmanager
def serve(
    state: Path, detector: Detector | None = None, *, port: int | None = None, **settings: object
) -> Iterator[BrowserEnvironment]:
    """A server that is ready, until the block ends. port : on which a server of before answered"""
    used = detector or DotDetector()
    settings = {"loopback_without_key": "on", **settings}
    app = create_app(ServerSettings(state=state, **settings), load=lambda: used)  # type: ignore[arg-type]
    port = port or free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=2, proxy_headers=False
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield BrowserEnvironment(f"http://127.0.0.1:{port}", state)
    finally:
        if isinstance(used, Blocking):
            used.released.set()  # a test that failed has not let it go
        server.should_exit = True
        thread.join()
