"""What people are told of a cohort under way."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from serving.cohort.cluster import Resources
from serving.cohort.cohort import CohortRun, WorkerPoolSize, choose_pool_size
from serving.cohort.errors import CohortError
from serving.cohort.layout import Failure
from serving.cohort.ledger import CohortTally
from serving.cohort.progress import ShownProgress
from serving.cohort.worker import WorkOrder
from serving.core.options import ScoringOptions

FAILURE = Failure(slide="x", source="/x", problem="p", detail="d", passing=False, tries=1, key="k")


def test_a_log_gets_a_line_now_and_then() -> None:
    text, now = io.StringIO(), [0.0]
    tally = CohortTally(200)
    with ShownProgress(Console(file=text, width=200), clock=lambda: now[0]) as shown:
        shown.began(tally, WorkerPoolSize(2, 1, 0, 1))
        for second in range(100):
            now[0] += 1
            tally.scored, tally.tiles = second // 2, 3 * second
            shown.went_on(tally, 5)
        tally.failures["x"] = FAILURE
    lines = text.getvalue().splitlines()
    assert lines[0] == "200 of 200 slides to look at; 2 workers of 1 threads each on 1 machine"
    assert len(lines) == 4
    assert lines[-1].startswith("44 done, 0 failed, 156 left of 200; ")
    for word in ("slides/s", "tiles/s", "5 min left"):
        assert word in lines[-1]


def test_a_terminal_gets_a_bar() -> None:
    text = io.StringIO()
    with ShownProgress(Console(file=text, force_terminal=True, width=160)) as shown:
        shown.began(CohortTally(3), WorkerPoolSize(2, 1, 1, 4))
        shown.went_on(CohortTally(3, scored=1), 0)
    assert "2 workers of 1 threads and a GPU each on 4 machines" in text.getvalue()
    assert "1/3" in text.getvalue()


def size(resources: Resources, **changes: object) -> tuple[int, int, int]:
    providers = changes.pop("providers", None)
    run = CohortRun(Path("models"), WorkOrder("out", ScoringOptions(), providers=providers), **changes)  # type: ignore[arg-type]
    found = choose_pool_size(run, resources)
    return found.workers, found.threads, found.gpus


def test_a_crew_is_as_large_as_the_cluster() -> None:
    plain = Resources(cpus=64, gpus=0, nodes=4, largest_cpus=16)
    gpus = Resources(cpus=64, gpus=8, nodes=4, largest_cpus=16, cpus_per_gpu=8)
    assert size(plain, address="auto") == (16, 4, 0)
    assert size(plain, address="auto", workers=3, threads=8) == (3, 8, 0)
    assert size(plain, address="auto", workers=100) == (16, 4, 0)
    assert size(gpus, address="auto") == (8, 8, 1)
    assert size(gpus, address="auto", providers=("CPUExecutionProvider",)) == (16, 4, 0)
    assert size(Resources(2, 0, 1, 2), address="auto") == (1, 2, 0)
    with pytest.raises(CohortError, match="no machine of the cluster has 32 processors"):
        size(plain, address="auto", threads=32)


def test_this_machine_has_two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.cohort.cohort.cores", lambda: 8)
    here = Resources(cpus=8, gpus=0, nodes=1, largest_cpus=8)
    assert size(here) == (2, 4, 0)
    assert size(here, workers=4) == (4, 2, 0)
    assert size(Resources(8, 2, 1, 8, 4)) == (2, 4, 1)
