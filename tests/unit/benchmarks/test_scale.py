"""What a cohort costs on paper: seconds times tissue, until storage is full."""

from dataclasses import replace

import pytest

from benchmarks.scale import Cohort, WorkerKind, estimate, main

COHORT = Cohort(3600, tissue_mm2=10, gigabytes=2, storage_gb_s=1, gpu_price=3, core_price=0.5)
WORKER = WorkerKind("w", seconds_per_mm2=2, seconds_per_slide=5, cores=4, gpu=True, measured="")


def test_seconds_of_tissue_make_hours_and_hours_make_the_price() -> None:
    found = estimate(WORKER, COHORT, 5)
    assert found.slides_per_hour == pytest.approx(3600 / 25)
    assert found.hours == pytest.approx(3600 * 25 / 5 / 3600)
    assert found.price == pytest.approx(found.hours * 5 * (3 + 4 * 0.5))
    assert estimate(replace(WORKER, gpu=False), COHORT, 5).price == pytest.approx(found.hours * 5 * 2)


def test_workers_beyond_what_storage_delivers_cost_and_bring_nothing() -> None:
    few = estimate(WORKER, COHORT, 5)
    assert few.most_workers == 12  # 1 GB/s over 2 GB in 25 s
    many, more = (estimate(WORKER, COHORT, workers) for workers in (20, 40))
    assert many.hours == more.hours == pytest.approx(3600 * 2 / 1 / 3600)
    assert more.price == pytest.approx(2 * many.price)


def test_the_page_prints(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--slides", "10", "--workers", "2"])
    assert capsys.readouterr().out.count("| 10 |") >= 2
