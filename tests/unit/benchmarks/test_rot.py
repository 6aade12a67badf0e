"""Kills and changed bits: what a report is held to."""

from pathlib import Path

from benchmarks.faults.environment import without_timing
from benchmarks.faults.rot import _Undisturbed
from serving.core.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import DotDetector
from tests.services import field


def test_a_report_at_another_threshold_is_that_of_a_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "slide.png"
    path.write_bytes(field())
    undisturbed = _Undisturbed([path], DotDetector())
    for threshold in (0.5, 0.2, 0.9, 0.5):
        with open_slide(path) as opened:
            whole = score_slide(opened, DotDetector(), ScoringOptions(mpp=0.25, threshold=threshold)).report
        assert undisturbed.report(0, threshold) == without_timing(whole.model_dump(mode="json"))
