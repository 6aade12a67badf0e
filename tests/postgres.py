"""A PostgreSQL of the tests' own, where a machine has the programs."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a PostgreSQL of the test's own."""
    initdb, control = shutil.which("initdb"), shutil.which("pg_ctl")
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed: initdb and pg_ctl are not in PATH")
    folder = tmp_path_factory.mktemp("pg")
    user: list[str] = []
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root")
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    subprocess.run([*user, initdb, "-D", data, "-U", "lab", "-A", "trust"], check=True, capture_output=True, cwd=folder)
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    subprocess.run(
        [*user, control, "-D", data, "-o", options, "-l", data / "log", "-w", "start"], check=True, cwd=folder
    )
    yield f"postgresql+psycopg://lab@/postgres?host={folder}"
    subprocess.run([*user, control, "-D", data, "-m", "immediate", "stop"], check=True, cwd=folder, capture_output=True)
