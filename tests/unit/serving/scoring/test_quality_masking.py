"""What becomes of masked areas: stated, left out, or not looked for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.geometry import parse_roi
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report_parts import Quality, QualityUse
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.quality_masking import quality_warnings
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

WIDTH, HEIGHT, INKED = 2500, 1500, 600
WHOLE_MM2 = WIDTH * HEIGHT * (0.25 / 1000) ** 2
INKED_MM2 = INKED * HEIGHT * (0.25 / 1000) ** 2
EDGE_MM2 = HEIGHT * 0.25 * 8 / 1000**2
"""Ink is masked to 8 um or so beyond its edge."""
GREEN = (20, 120, 60)


def _pixels() -> NDArray[np.uint8]:
    """Ink on the left, with one of three figures on it."""
    pixels = tissue(WIDTH, HEIGHT)
    pixels[:, :INKED] = GREEN
    for x, y in ((300, 700), (1500, 700), (2200, 1200)):
        plant(pixels, x, y)
    return pixels


def _analysis(qc: QualityUse) -> Analysis:
    return score_slide(ArraySlide(_pixels(), mpp=0.25), DotDetector(), ScoringOptions(qc=qc))


def _quality(analysis: Analysis) -> Quality:
    assert analysis.report.quality is not None
    return analysis.report.quality


def test_report_states_and_counts_all_the_same() -> None:
    analysis = _analysis("report")
    quality, counts = _quality(analysis), analysis.report.counts
    assert (counts.mitotic_figures, quality.figures_masked, quality.figures_dropped) == (3, 1, 0)
    assert counts.tissue_area_mm2 == pytest.approx(WHOLE_MM2, rel=0.01)
    assert quality.masked_tissue_mm2 == pytest.approx(INKED_MM2 + EDGE_MM2, abs=EDGE_MM2)
    assert {a.reason for a in quality.areas if a.area_mm2 > 0.001} == {"pen"}
    assert any("`qc` exclude" in w for w in analysis.report.warnings)
    assert analysis.report.timing.quality_s is not None


def test_exclude_takes_tissue_and_figures_out() -> None:
    analysis = _analysis("exclude")
    quality, report = _quality(analysis), analysis.report
    assert (report.counts.mitotic_figures, quality.figures_masked, quality.figures_dropped) == (2, 0, 1)
    assert len(report.detections) == sum(t.mitotic_count for t in report.tiles) == 2
    assert report.counts.tissue_area_mm2 == pytest.approx(WHOLE_MM2 - INKED_MM2, rel=0.03)
    assert quality.masked_tissue_mm2 == pytest.approx(INKED_MM2 + EDGE_MM2, abs=EDGE_MM2)
    shares = {(t.x, t.y): t.tissue_fraction for t in report.tiles}
    assert shares[0, 0] == pytest.approx(1 - INKED / 1000, abs=0.05)
    assert shares[1000, 0] == pytest.approx(1, abs=0.01)
    assert any("left out" in w and "1 mitotic" in w for w in report.warnings)
    assert report.counts.expected is not None
    counted = _analysis("report").report.counts.expected
    assert counted is not None
    assert counted.mitotic_figures - report.counts.expected.mitotic_figures == pytest.approx(1, abs=0.05)


def test_off_looks_for_nothing() -> None:
    analysis = _analysis("off")
    assert analysis.quality is None
    assert analysis.report.quality is None
    assert analysis.report.timing.quality_s is None
    assert analysis.report.counts.mitotic_figures == 3


def test_counted_again_it_stays_as_it_was_asked_for() -> None:
    for qc in ("report", "exclude", "off"):
        analysis = _analysis(qc)
        assert recount(analysis, CountingOptions()).report == analysis.report
    none = recount(_analysis("report"), CountingOptions(), threshold=1.0)
    assert _quality(none).figures_masked == 0


def test_only_the_roi_is_stated() -> None:
    options = ScoringOptions(roi=parse_roi(f"{INKED - 300},0,800,{HEIGHT}"))
    analysis = score_slide(ArraySlide(_pixels(), mpp=0.25), DotDetector(), options)
    areas = {a.reason: a.area_mm2 for a in _quality(analysis).areas}
    assert areas["pen"] == pytest.approx(300 * HEIGHT * (0.25 / 1000) ** 2 + EDGE_MM2, abs=EDGE_MM2)


def test_little_that_is_masked_is_worth_no_warning() -> None:
    quality = _quality(_analysis("report"))
    assert quality_warnings(quality, "report", tissue_mm2=100.0) == []
    assert quality_warnings(quality.model_copy(update={"masked_tissue_mm2": 0.0}), "exclude", tissue_mm2=1.0) == []
