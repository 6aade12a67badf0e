"""The arithmetic that compares tools, and the windows that they are asked for; no tool is run."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.lattice import STRIDE_PX, WINDOW_PX, Square, UnequalError, check_windows, largest_difference
from benchmarks.peers.maps import TOLERANCE, compare_maps
from benchmarks.peers.measure import Tool, ToolRun
from benchmarks.peers.runners import ours, whole
from benchmarks.peers.runners.job import RunnerJob
from benchmarks.peers.slides import MPP, write_slides
from benchmarks.peers.table import markdown, rows
from tests.quick_models import write_quick_models


def tool(name: str, *, peer: bool) -> Tool:
    return Tool(name, Path("python"), "runner", Path("model"), {"batch": 8}, peer=peer)


def turns(*work: float) -> list[ToolRun]:
    """Each with half as much processor time as wall time, and 2 s to start."""
    return [ToolRun(work=s, work_processor=s / 2, whole=s + 2, whole_processor=s) for s in work]


ALL = [tool("slow", peer=True), tool("quick", peer=True), tool("ours", peer=False)]
MEASURED = {"slow": turns(40, 44, 48), "quick": turns(20, 30, 22), "ours": turns(10, 10, 20)}


def test_rates_and_times_are_medians() -> None:
    slow = rows(MEASURED, ALL, windows=88)[0]
    assert slow["work"] == 44
    assert slow["work_processor"] == 22
    assert slow["windows_per_s"] == 2
    assert slow["start"] == 2


def test_ratios_are_medians_of_the_rounds_own_ratios_to_the_fastest_peer() -> None:
    found = {row["tool"]: row for row in rows(MEASURED, ALL, windows=88)}
    assert found["ours"]["times_fastest"] == 2  # of 20 / 10, 30 / 10 and 22 / 20
    assert found["quick"]["times_fastest"] == 1
    assert found["slow"]["times_fastest"] == 0.5


def test_the_fastest_peer_by_processor_time_may_be_another() -> None:
    thrifty = [ToolRun(work=90, work_processor=5, whole=91, whole_processor=6)] * 3
    found = {row["tool"]: row for row in rows({**MEASURED, "slow": thrifty}, ALL, windows=88)}
    assert found["ours"]["times_fastest"] == 2
    assert found["ours"]["times_fastest_processor"] == 1


def test_without_a_peer_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(ValueError, match="at least one peer"):
        rows(MEASURED, ALL[2:], windows=88)


def test_the_table_has_a_line_a_tool_with_the_slowest_first() -> None:
    lines = markdown(rows(MEASURED, ALL, windows=88)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["slow", "quick", "ours"]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


@pytest.mark.parametrize(("tiles", "windows"), [(1, 81), (2, 289), (3, 625)])
def test_a_square_has_the_windows_that_lie_wholly_in_it(tiles: int, windows: int) -> None:
    square = Square(tiles)
    origins = square.origins()
    assert len(origins) == windows
    assert min(origins) == (square.first, square.first)
    assert max(origins) == (square.last - WINDOW_PX, square.last - WINDOW_PX)
    assert {coordinate % STRIDE_PX for origin in origins for coordinate in origin} == {0}


def test_windows_that_are_missing_foreign_or_twice_are_counted() -> None:
    asked = {(0, 0), (125, 0), (250, 0)}
    check_windows("tool", sorted(asked), asked)
    with pytest.raises(UnequalError, match="4 windows where 3 were asked: 1 missing, 1 others, 1 twice"):
        check_windows("tool", [(0, 0), (0, 0), (125, 0), (0, 125)], asked)


def test_the_largest_difference_is_over_the_windows_of_both() -> None:
    assert largest_difference({(0, 0): 0.5, (125, 0): -1.0}, {(0, 0): 0.25, (125, 0): -0.5}) == 0.5


def test_our_pipeline_scores_the_windows_of_the_square_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    square, models = Square(1), write_quick_models(tmp_path / "models")
    slide = write_slides(tmp_path / "slides", tmp_path / "no scans", square)["generated"]
    (reg_ns,), (det,) = ((models / name).iterdir() for name in ("reg-ns", "det"))
    settings = {"provider": "CPUExecutionProvider", "detection": str(det)}
    edges = square.first, square.last, square.slide_px
    RunnerJob(str(slide), str(reg_ns), str(tmp_path), *edges, WINDOW_PX, STRIDE_PX, MPP, settings).write(
        tmp_path / "job.json"
    )
    monkeypatch.setattr("sys.argv", ["ours", str(tmp_path / "job.json")])
    ours.main()
    told = json.loads((tmp_path / "told.json").read_text())
    check_windows("Mitoserve", [(x, y) for x, y, _ in told["scores"]], square.origins())
    assert told["seconds"] > 0


def test_our_whole_pipeline_tells_what_it_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = write_quick_models(tmp_path / "models")
    slide = write_slides(tmp_path / "slides", tmp_path / "no scans", Square(1))["generated"]
    settings = {"provider": "CPUExecutionProvider"}
    RunnerJob(str(slide), str(models), str(tmp_path), 0, 0, 0, 512, 492, 0.5, settings).write(tmp_path / "job.json")
    monkeypatch.setattr("sys.argv", ["whole", str(tmp_path / "job.json")])
    whole.main()
    told = json.loads((tmp_path / "told.json").read_text())
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(told["scores"]) == report["counts"]["mitotic_figures"] > 0
    assert told["seconds"] > 0


def test_maps_of_one_network_must_be_the_same(tmp_path: Path) -> None:
    maps = np.random.default_rng(1).random((2, 8, 8)).astype(np.float32)
    np.save(tmp_path / "a.npy", maps)
    np.save(tmp_path / "b.npy", maps + np.float32(TOLERANCE / 2))
    assert compare_maps(tmp_path / "a.npy", tmp_path / "b.npy") == pytest.approx(TOLERANCE / 2, rel=0.01)
    for wrong in (maps + np.float32(2 * TOLERANCE), np.full_like(maps, np.nan)):
        np.save(tmp_path / "b.npy", wrong)
        with pytest.raises(UnequalError, match="TIAToolbox's maps are"):
            compare_maps(tmp_path / "a.npy", tmp_path / "b.npy")
