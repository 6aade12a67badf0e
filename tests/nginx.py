"""The real nginx, where the machine has it, in front of a server of a test."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import free_port
from tests.limits import LONGEST_S

_FRAME = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {sites}
}}
"""


def program() -> str:
    """Path of nginx; skips the test where there is none."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no nginx on this machine; on Debian and Ubuntu: apt-get install nginx-light")
    return found


def site(port: int, locations: str) -> str:
    """A server on a port of loopback with these locations."""
    return f"server {{ listen 127.0.0.1:{port}; client_max_body_size 0; {locations} }}"


@contextmanager
def proxy(folder: Path, sites: str, port: int) -> Iterator[str]:
    """The address of an nginx that serves `sites` on `port`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(_FRAME.format(folder=folder, sites=sites))
    with (folder / "output.log").open("wb") as output:
        nginx = subprocess.Popen([program(), "-c", str(config), "-p", str(folder)], stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + LONGEST_S
        while True:
            assert nginx.poll() is None, (folder / "output.log").read_text() + (folder / "error.log").read_text()
            try:
                httpx.get(f"{address}/livez", timeout=LONGEST_S)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)  # polls another process, which announces nothing
        yield address
    finally:
        nginx.terminate()
        nginx.wait(LONGEST_S)


@contextmanager
def plain_proxy(folder: Path, upstream: int, *, more: str = "", at: str = "/", to: str = "") -> Iterator[str]:
    """nginx as people first write it: `proxy_pass` and nothing else, but for the lines in `more`."""
    port = free_port()
    location = f"location {at} {{ proxy_pass http://127.0.0.1:{upstream}{to}; {more} }}"
    with proxy(folder, site(port, location), port) as address:
        yield address + at.rstrip("/")
