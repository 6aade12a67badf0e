"""Real server processes with their workers and decoders, for tests that kill them and for the fault suite."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.limits import LONGEST_S

PROGRAM = """
import logging, sys
import uvicorn
from serving.api.app import create_app
from serving.settings import ServerSettings
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
uvicorn.run(create_app(ServerSettings.from_environment()), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", proxy_headers=False)
"""
START_S = 240.0
_GIVEN = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "LANG", "OMP_NUM_THREADS")


class ServerProcess:
    """A server that can be killed and started again on the same port and state."""

    def __init__(self, folder: Path, models: Path, **settings: object) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.log = folder / f"server-{self.port}.log"
        self.state = folder / "state"
        # Each analysis computes: an earlier one of the slide would leave it nothing to be disturbed at.
        usual = {"state": self.state, "models": models, "min_free_bytes": 0, "lease_s": 3, "keep_tiles": "off"}
        usual["loopback_without_key"] = "on"
        stated = usual | settings
        self.environment = {name: value for name, value in os.environ.items() if name in _GIVEN or name[:4] == "AWS_"}
        self.environment |= {f"MITOSIS_{name.upper()}": str(value) for name, value in stated.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=600)

    @property
    def pid(self) -> int:
        """Of the process that answers HTTP."""
        assert self._process is not None
        return self._process.pid

    def start(self, preexec: Callable[[], None] | None = None) -> "ServerProcess":
        """Start, and wait until the models are loaded."""
        self.begin(preexec)
        self.wait_until(lambda: self.client.get("/readyz").status_code == 200, START_S)
        return self

    def begin(self, preexec: Callable[[], None] | None = None) -> "ServerProcess":
        """Start, and wait for nothing."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.port)],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                preexec_fn=preexec,  # noqa: PLW1509 - sets a resource limit, before any thread
            )
        return self

    def wait_until(self, true: Callable[[], bool], seconds: float) -> None:
        """Return as soon as `true` is; a server that does not answer counts as false."""
        deadline, pause = time.monotonic() + seconds, 0.05
        while time.monotonic() < deadline:
            try:
                if true():
                    return
            except httpx.TransportError:
                pass
            time.sleep(pause)  # polls another process, which announces nothing
            pause = min(pause * 1.1, 0.5)  # what takes long needs no closer look, which costs the server time
        raise AssertionError(f"it did not happen in {seconds:g} s:\n{self.log.read_text()[-3000:]}")

    def alive(self) -> bool:
        """Whether the process runs and answers."""
        assert self._process is not None
        return self._process.poll() is None and self.client.get("/livez").status_code == 200

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(LONGEST_S)

    def stop(self) -> None:
        """SIGTERM, wait, and hang up."""
        self.terminate()
        self.client.close()

    def workers(self) -> list[int]:
        """Processes that score."""
        return [pid for pid in children(self.pid) if b"serving.jobs" in command(pid)]

    def decoders(self) -> list[int]:
        """Processes that decode slides for the worker."""
        zygotes = [pid for worker in self.workers() for pid in children(worker) if b"zygote" in command(pid)]
        return [pid for zygote in zygotes for pid in children(zygote)]


def children(pid: int) -> list[int]:
    """Processes that `pid` started, from any of its threads."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def command(pid: int) -> bytes:
    """Command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def kill(pid: int) -> bool:
    """kill -9; False where it was gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
