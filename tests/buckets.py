"""A real S3-compatible server of the tests' own, where a machine has one (`pip install moto[server]`)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest


@pytest.fixture
def bucket(bucket_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Address of an empty part of a bucket; this process and those that it starts reach it."""
    for name, value in credentials(bucket_server).items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[str]:
    """Address of the server."""
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("moto_server is not in PATH")
    with serving_buckets(program) as address:
        yield address


def credentials(address: str) -> dict[str, str]:
    """What the environment has to state for the bucket of the server at `address`."""
    stated = {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
    return {f"AWS_{name}": value for name, value in stated.items()} | {"AWS_ALLOW_HTTP": "true"}


@contextmanager
def serving_buckets(program: str) -> Iterator[str]:
    """Run the server with one bucket, `bucket`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    with subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=quiet, stderr=quiet) as server:
        try:
            _make_bucket(f"{address}/bucket")
            yield address
        finally:
            server.terminate()


def _make_bucket(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.put(address, timeout=10).raise_for_status()
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # polls another process, which announces nothing
