"""The number of threads: one a processor, until another one was measured to be faster."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving.cli import main
from serving.scoring import batch_sizes, tuning
from serving.scoring.batch_sizes import cores, use_cores
from serving.scoring.tuning import candidates, choose_threads, tune
from tests.quick_models import write_quick_models

CPU = "CPUExecutionProvider"


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own, and a number of processors that is put back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(batch_sizes, "_most", [])


def _taking(seconds: dict[int, float]) -> tuple[Callable[[int], Callable[[], object]], Callable[[], float]]:
    """What opens a model that takes so long by its number of threads, and the clock by which it does."""
    now = [0.0]

    def opened(threads: int) -> Callable[[], object]:
        def run() -> None:
            now[0] += seconds[threads]

        return run

    return opened, lambda: now[0]


def test_the_fastest_is_kept_for_this_machine_and_provider() -> None:
    default = cores()
    assert choose_threads(CPU) == default
    opened, clock = _taking({default: 2.0, default + 1: 1.0})
    found = tune(CPU, opened, [default, default + 1], clock=clock)
    assert (found.threads, found.seconds) == (default + 1, {default: 2.0, default + 1: 1.0})
    assert choose_threads(CPU) == default + 1
    assert choose_threads("OpenVINO") == default
    use_cores(1)
    assert choose_threads(CPU) == 1  # a process that was left fewer processors


def test_a_difference_within_noise_changes_nothing() -> None:
    default = cores()
    opened, clock = _taking({default: 1.0, default + 1: 0.99})
    assert tune(CPU, opened, [default, default + 1], clock=clock).threads == default
    # What was found before is replaced.
    opened, clock = _taking({default: 1.0, default + 1: 0.5})
    tune(CPU, opened, [default, default + 1], clock=clock)
    opened, clock = _taking({default: 1.0, default + 1: 2.0})
    tune(CPU, opened, [default, default + 1], clock=clock)
    assert choose_threads(CPU) == default


@pytest.mark.parametrize("content", ["", "[]", "null", '{"a": "b"}', "{"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "mitoserve").mkdir()
    (tmp_path / "mitoserve" / "threads.json").write_text(content)
    assert choose_threads(CPU) == cores()


def test_one_a_core_is_tried_where_processors_share_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "cores", lambda: 8)
    monkeypatch.setattr(tuning, "_physical", lambda: 4)
    assert candidates() == [8, 7, 4, 3]
    monkeypatch.setattr(tuning, "cores", lambda: 1)
    monkeypatch.setattr(tuning, "_physical", lambda: 1)
    assert candidates() == [1]


def test_the_command_measures_and_says_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_MODELS", str(write_quick_models(tmp_path / "models")))
    done = CliRunner().invoke(main, ["tune"])
    assert done.exit_code == 0, done.output
    assert "used from now on" in done.output
    done = CliRunner().invoke(main, ["tune", "--provider", "Abacus"])
    assert done.exit_code == 1
    assert "unknown execution provider Abacus" in done.output
