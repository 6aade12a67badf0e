"""A server in a process of its own, which a test may kill."""

import multiprocessing
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from numpy.typing import NDArray

from serving.api.app import create_app
from serving.settings import ServerSettings
from tests.e2e.processes import free_port
from tests.fakes import DotDetector
from tests.limits import LONGEST_S


class Gated(DotDetector):
    """Finds dots once a file is there."""

    def __init__(self, gate: Path) -> None:
        super().__init__()
        self._gate = gate

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        while not self._gate.exists():
            time.sleep(0.05)  # another process makes the file
        return super().screen(tiles)


class KillableServer:
    """A server that always comes back on the same port with the same state."""

    def __init__(self, state: Path, *, gate: Path) -> None:
        self.gate = gate
        self._state, self._port = state, free_port()
        self._process: ForkServerProcess | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, and return once it answers."""
        processes = multiprocessing.get_context("forkserver")  # which loads the modules once
        processes.set_forkserver_preload(["serving.api.app", __name__])
        self._process = processes.Process(target=_run, args=(self._state, self._port, self.gate))
        self._process.start()
        deadline = time.monotonic() + LONGEST_S
        while not self._answers():
            assert self._process.is_alive(), "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)  # nothing announces it

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def get(self, path: str) -> httpx.Response:
        """The server's answer."""
        return httpx.get(self.address + path, timeout=600)

    def _answers(self) -> bool:
        try:
            return self.get("/livez").status_code == 200
        except httpx.TransportError:
            return False


def _run(state: Path, port: int, gate: Path) -> None:
    settings = ServerSettings(state=state, loopback_without_key="on", lease_s=5)
    app = create_app(settings, load=lambda: Gated(gate))
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", proxy_headers=False)
