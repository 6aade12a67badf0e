"""A real S3-compatible server with a bucket `bucket`, where a machine has one (`pip install moto[server]`)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.limits import LONGEST_S


@pytest.fixture
def bucket(bucket_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Address of an empty part of a bucket; this process and those that it starts reach it."""
    for name, value in s3_environment(bucket_server).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """Address of the server."""
    with s3_server() as address:
        yield address


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address; tests that need one where there is none are skipped."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("moto_server is not in PATH")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=quiet, stderr=quiet) as server:
        deadline = time.monotonic() + LONGEST_S
        while True:
            try:
                httpx.put(f"{address}/bucket", timeout=LONGEST_S).raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.05)  # polls another process, which announces nothing
        try:
            yield address
        finally:
            server.terminate()


def s3_environment(address: str) -> dict[str, str]:
    """The variables by which clients find it."""
    stated = {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
    return {f"AWS_{name}": value for name, value in {**stated, "ALLOW_HTTP": "true"}.items()}
