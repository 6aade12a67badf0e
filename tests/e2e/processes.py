"""A real server as its own process."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.limits import LONGEST_S

ROOT = Path(__file__).parents[2]
START_S = 240
"""Two BentoML processes and two models, on a busy machine."""


@contextmanager
def serve(
    scratch: Path,
    *,
    models: Path | None = None,
    target: str = "serving.service:MitoserveService",
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    verify: ssl.SSLContext | bool = True,
) -> Iterator[httpx.Client]:
    """A client of a server that scores, whose output goes to `scratch`/server.log; it ends with the context.

    models : a folder; None for those that ship
    """
    port = free_port()
    log = scratch / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port), *arguments],
            cwd=folder,
            env=server_environment(scratch, models) | dict(environment or {}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    scheme = "https" if arguments else "http"
    try:
        with httpx.Client(base_url=f"{scheme}://localhost:{port}", timeout=600, verify=verify) as client:
            _wait_until_ready(client, server, log)
            yield client
    finally:
        server.terminate()
        server.wait(LONGEST_S)


def free_port() -> int:
    """A port on which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_environment(scratch: Path, models: Path | None = None) -> dict[str, str]:
    """An environment in which a server keeps everything below `scratch` and scores with `models`."""
    return {
        **os.environ,
        "BENTOML_HOME": str(scratch / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "MITOSIS_STATE": str(scratch / "state"),
        "MITOSIS_LOOPBACK_WITHOUT_KEY": "on",
        **({} if models is None else {"MITOSIS_MODELS": str(models)}),
    }


def _wait_until_ready(client: httpx.Client, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)  # polling a process that is starting; nothing announces its readiness
    raise AssertionError(f"the server did not become ready:\n{log.read_text()[-3000:]}")
