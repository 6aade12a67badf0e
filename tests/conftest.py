"""What all tests share: hypothesis without chance, and the real slides where a machine has them."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import FULL, QUICK

pytest_plugins = ["tests.postgres", "tests.s3"]

# The same examples on every run and machine; slow machines do not fail for being slow.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, max_examples=FULL)
settings.register_profile("quick", parent=settings.get_profile("deterministic"), max_examples=QUICK)
settings.load_profile("deterministic")


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the state of a server that this user runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real slides and fields: `MITOSIS_DATA`, by default `../shared/data` beside the checkout."""
    root = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[1] / "../shared/data")).resolve()
    if not root.is_dir():
        pytest.skip(f"no real slides at {root}; set MITOSIS_DATA to the folder that holds slides/")
    return root
