"""A PostgreSQL of the tests' own, where a machine has the programs."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


@pytest.fixture
def postgres(postgres_folder: Path) -> str:
    """URL of an empty PostgreSQL database of this test's own, whatever ran before."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"host={postgres_folder} user=lab dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"postgresql+psycopg://lab@/{name}?host={postgres_folder}"


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """Folder of the running server's socket, outside pytest's folders, which a later run may sweep away under it."""
    initdb, control = shutil.which("initdb"), shutil.which("pg_ctl")
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed: initdb and pg_ctl are not in PATH")
    with tempfile.TemporaryDirectory(prefix="mitoserve-pg-") as folder, running(Path(folder), initdb, control):
        yield Path(folder)


@contextmanager
def running(folder: Path, initdb: str, control: str) -> Iterator[None]:
    """A server whose socket and data are in `folder`; skips where it cannot run as this user."""
    user: list[str] = []
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root")
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        folder.chmod(0o755)
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    subprocess.run([*user, initdb, "-D", data, "-U", "lab", "-A", "trust"], check=True, capture_output=True, cwd=folder)
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    subprocess.run(
        [*user, control, "-D", data, "-o", options, "-l", data / "log", "-w", "start"], check=True, cwd=folder
    )
    try:
        yield
    finally:
        stop = [*user, control, "-D", str(data), "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, cwd=folder, capture_output=True)
