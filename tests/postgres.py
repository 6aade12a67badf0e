"""A PostgreSQL server of the tests' own, where a machine has the programs."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_USER = "postgres"


@contextmanager
def running_postgres() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database on a socket in a temporary folder; skips where PostgreSQL is missing."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    if programs is None:
        found = shutil.which("initdb")
        if found is None:
            pytest.skip("PostgreSQL's initdb is not on this machine")
        programs = Path(found).parent
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, as a socket's path must be
    as_user = _as_user(folder)
    try:
        subprocess.run(
            [*as_user, programs / "initdb", "-D", folder / "data", "-A", "trust", "-N", "-U", _USER],
            check=True,
            capture_output=True,
        )
        options = f"-k {folder} -c listen_addresses='' -F"
        control = [*as_user, programs / "pg_ctl", "-D", folder / "data", "-w"]
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, capture_output=True)
        try:
            yield f"postgresql+psycopg://{_USER}@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
    finally:
        shutil.rmtree(folder)


def _as_user(folder: Path) -> list[str | Path]:
    """What stands before a command so that it does not run as root, which PostgreSQL refuses."""
    if os.getuid() != 0:
        return []
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        pytest.skip("root cannot run PostgreSQL, and there is no user postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
