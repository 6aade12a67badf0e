"""The benchmark's small form: structure that makes scoring fast is not lost, and its loss would be noticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.__main__ import main, rounds
from benchmarks.speed.page import write_page
from benchmarks.speed.slides import find_real_cases, make_generated_cases
from benchmarks.speed.structure import count_structure, find_lost
from benchmarks.speed.summary import summary, write_summary
from serving.scoring import reading, verification
from tests.fakes import DotDetector
from tests.samples import noise

pytestmark = pytest.mark.integration


def test_no_structure_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--small"]) == 0
    exact, fast = capsys.readouterr().out.splitlines()
    assert "screen_calls=9" in exact
    # The five that are chosen lie side by side: three are shown in one piece and two in another.
    assert "screen_calls=18" in fast
    assert "screened_px=1968750" in fast
    assert "triage_calls=0" in exact
    assert "triage_calls=9" in fast
    assert "screened=45," in fast


def _copy_array(slide: Any, frame: Any, work: Any) -> Any:
    return _READ(slide, frame, work).copy()


_READ = reading.read_mirrored


@pytest.mark.parametrize(
    ("name", "value", "noticed"),
    [
        ("serving.slides.directlevels.CACHE_BYTES", 0, "bytes read for patches"),
        ("serving.slides.openslides.DIRECT_VENDORS", set(), "patches read by OpenSlide"),
        ("serving.scoring.reading.read_mirrored", _copy_array, "patches copied"),
        ("serving.scoring.batch_sizes.DETECT_BATCH", 4, "calls of Det"),
    ],
)
def test_lost_structure_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, noticed: str
) -> None:
    monkeypatch.setattr(name, value)
    assert [complaint.split(":")[0] for complaint in find_lost(count_structure(tmp_path))] == [noticed]


def test_what_triage_saves_is_noticed_when_it_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_lost(count_structure(tmp_path, "fast")) == []
    monkeypatch.setattr("serving.scoring.triage.MOST_PIECES", 0)  # every tile is screened whole
    lost = [complaint.split(":")[0] for complaint in find_lost(count_structure(tmp_path, "fast"))]
    assert lost == ["sub-tiles screened", "px that Reg-NS saw"]


def test_views_that_nobody_needs_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.scoring.detector_run.verify_candidates", _verify_by_all_views)
    lost = [complaint.split(":")[0] for complaint in find_lost(count_structure(tmp_path, "fast"))]
    assert lost == ["candidates verified by all views"]


def _verify_by_all_views(*asked: Any, **_: Any) -> Any:
    return verification.verify_candidates(*asked)


def test_a_run_is_summed_up_in_a_file_and_a_page(tmp_path: Path) -> None:
    cases = make_generated_cases(tmp_path, [2000, 4000], tiles=1, block=noise(500, 500))
    *_, (turns, decodings) = rounds(cases, DotDetector(), count=2)
    found = summary(turns, decodings, cases)
    stored = json.loads(write_summary(tmp_path, found).read_text())
    assert list(stored["slides"]) == [f"generated-{n}.tif" for n in ("2000-jpeg256", "4000-jpeg256", "2000-jpeg512")]
    for slide in stored["slides"].values():
        assert slide["tiles"] == 1
        assert slide["sub_tiles"] == 9 * 9
        assert slide["calls"]["screen"] == 1
        assert slide["reading"]["equal"]
        assert slide["reading"]["direct_levels"][0] == 0
        assert slide["seconds"]["wall"] >= slide["seconds"]["screen"] > 0
        assert min(slide["seconds"]["read_floor"], slide["seconds"]["models_floor"], slide["peak_mib"]) > 0
        assert set(slide["processor"]) == {"whole", "plan", "read", "models"}
        assert len(slide["turns"]) == 2
    assert [growth["side"] for growth in stored["growth"]] == [2000, 4000]
    assert stored["growth"][0]["peak"] == stored["growth"][0]["seconds_per_tile"] == 1
    page = write_page(tmp_path, found).read_text()
    assert all(name in page for name in stored["slides"])
    assert "Research Use Only" in page
    assert "http" not in page


def test_real_slides_are_scored_in_their_middle(shared_data: Path) -> None:
    cases = {case.name: case for case in find_real_cases(shared_data, tiles=4)}
    assert list(cases) == ["cmu-1-small-region.svs", "icpr2012-dev.tif", "tcga-cr-7395-no-mpp.svs"]
    assert cases["icpr2012-dev.tif"].roi is not None
    assert cases["icpr2012-dev.tif"].roi.points[0] == (2000, 2000)
    assert cases["icpr2012-dev.tif"].roi.points[2] == (4000, 4000)
    assert cases["tcga-cr-7395-no-mpp.svs"].mpp == 0.25
