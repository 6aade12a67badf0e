"""The Makefile checks Python before it makes an environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = f"python{sys.version_info[0]}.{sys.version_info[1]}"
STUB = """#!{python}
import sys
sys.version_info = {version}
code = sys.argv[2]
sys.argv[:] = sys.argv[2:]
assert sys.argv[0] == code
exec(code)
"""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Flags of a `make` that runs these tests would be taken for this one's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", [(3, 14, 0), (3, 10, 4), (2, 7, 18), (4, 0, 0)])
@pytest.mark.parametrize("target", [".serving", ".dev"])
def test_a_python_that_does_not_fit_is_refused_in_a_line_and_leaves_nothing(
    tmp_path: Path, version: tuple[int, int, int], target: str
) -> None:
    python, folder = tmp_path / "python", tmp_path / "venv"
    python.write_text(STUB.format(python=sys.executable, version=version))
    python.chmod(0o755)
    done = make(f"PYTHON={python}", f"VENV={folder}", f"{folder}/{target}")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert said == [
        f"{python} is Python {version[0]}.{version[1]}; Mitoserve needs Python 3.11, 3.12 or 3.13, "
        "such as: make PYTHON=python3.11"
    ]
    assert not folder.exists()


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    (folder / "lib" / "python3.9" / "site-packages").mkdir(parents=True)
    (folder / ".serving").touch()
    arguments = (f"PYTHON={sys.executable}", f"VENV={folder}", "environment")
    assert make(*arguments).returncode == 0
    assert [path.name for path in (folder / "lib").iterdir()] == [OURS]
    assert not (folder / ".serving").exists()
    # One of the same version is kept with what is in it.
    (folder / "kept").touch()
    assert make(*arguments).returncode == 0
    assert (folder / "kept").exists()


def test_a_python_that_is_missing_is_named_and_the_others_are_tested(tmp_path: Path) -> None:
    failing = tmp_path / "python3.0"
    failing.write_text(STUB.format(python=sys.executable, version=(3, 10, 4)))
    failing.chmod(0o755)
    missing = tmp_path / "python9.9"
    done = make("test-pythons", f"PYTHONS={missing}")
    assert (done.returncode, done.stdout) == (0, f"{missing} is not on this machine: nothing was tested on it\n")
    done = make("test-pythons", f"PYTHONS={missing} {failing}")
    assert done.returncode != 0
    assert f"{failing} is Python 3.10; Mitoserve needs" in done.stderr
    assert f"tests failed on {failing}" in done.stdout
