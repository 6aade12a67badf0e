from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.core.card_parts import CountCalibration
from serving.core.errors import RequestError
from serving.core.geometry import parse_roi
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report import Report
from serving.scoring.analysis import Analysis, MitosisMap
from serving.scoring.area import Area
from serving.scoring.expected import coverage_weights, estimate_figures, map_weights
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

SIDE = 8


def _scores(blocks: np.ndarray) -> np.ndarray:
    """Sub-tiles' scores where blocks hold so much agreement."""
    return np.asarray(blocks[:-1, :-1] + blocks[1:, :-1] + blocks[:-1, 1:] + blocks[1:, 1:])


def test_weights_of_an_isolated_tile() -> None:
    weights = coverage_weights(np.ones((7, 7), np.bool_), np.ones((8, 8)))
    assert weights[0, 0] == 0.5625
    assert weights[0, 3] == 0.375
    assert weights[3, 3] == 0.25
    blocks = np.full((8, 8), 0.7)
    assert (weights * _scores(blocks)).sum() == pytest.approx(blocks.sum())


@given(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 15), st.floats(0.05, 1)), min_size=1, max_size=20))
def test_planted_agreement_in_scored_tiles_is_recovered_exactly(planted: list[tuple[int, int, float]]) -> None:
    """Two tiles of three by two, in glass: sub-tiles reach a block beyond them, and figures at their edges count once."""
    cells = [(1, 0), (1, 1)]
    blocks = np.zeros((18, 26))  # one block of margin around 2 x 3 tiles
    for column, row, agreement in planted:
        blocks[1 + row, 1 + column] += agreement
    scored = np.zeros((17, 25), np.bool_)
    scored[0:17, 8:17] = True
    lattice = MitosisMap(np.where(scored, _scores(blocks), np.nan).astype(np.float32), -125, -125, 125, 250, 0.25)
    wide = Area(np.ones((40, 50), np.bool_), 125, 125)
    weights = map_weights(lattice, cells, SIDE, wide)
    inside = blocks[:, 9:17].sum() + 0.5 * (blocks[:, [8, 17]].sum())
    # The slide begins above the first row, where pixels are mirrored: no agreement was planted there.
    lost = 0.25 * 2 * blocks[1, 9:17].sum() + 0.25 * 1 * blocks[1, [8, 17]].sum()
    got = estimate_figures(lattice.scores, weights, None).sum()
    assert inside - lost <= got + 1e-4
    assert got <= inside + 1e-4
    if not blocks[1].any():
        assert got == pytest.approx(inside, abs=1e-4)


def _slide(*dots: tuple[float, float], size: tuple[int, int] = (3000, 2000)) -> Analysis:
    pixels = tissue(*size)
    for x, y in dots:
        plant(pixels, x, y)
    return score_slide(ArraySlide(pixels, mpp=0.25, name="a.png"), DotDetector())


def test_a_slide_of_dots_is_expected_to_hold_them() -> None:
    """Also at the border, where mirrored pixels show a dot again."""
    report = _slide((437, 437), (40, 1062), (2062, 1312), (1500, 1000), (2960, 1960)).report
    assert report.counts.mitotic_figures == 5
    expected = report.counts.expected
    assert expected is not None
    assert expected.mitotic_figures == pytest.approx(5, abs=0.02)
    assert expected.calibration is None
    assert "uncalibrated" in expected.note
    assert expected.interval is not None
    assert expected.interval.low <= 5 <= expected.interval.high


def test_figures_outside_the_roi_are_not_expected() -> None:
    pixels = tissue(3000, 2000)
    for x, y in ((437.0, 437.0), (2062.0, 1312.0)):
        plant(pixels, x, y)
    options = ScoringOptions(roi=parse_roi("0,0,1000,1000"))
    report = score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), options).report
    assert report.counts.expected is not None
    assert report.counts.expected.mitotic_figures == pytest.approx(1, abs=0.02)


def test_calibration_takes_an_offset_away() -> None:
    table = CountCalibration(
        id="t", scores=[0.02, 1.0], values=[0.0, 0.5], mean_agreement=0.5, sub_tiles=9, slides=1, data="none"
    )
    scores = np.asarray([0.02, 1.0, np.nan, 3.0], np.float32)
    assert estimate_figures(scores, np.full(4, 0.25), table) == pytest.approx([0, 0.25, 0, 0.25])


def test_a_stored_result_is_counted_again_without_a_model() -> None:
    analysis = _slide((437, 437), (470, 480), (2062, 1312))
    fresh = CountingOptions(hotspot_area=0.1, hotspot_shape="disc", hotspots=2, profile="none")
    again = recount(analysis, fresh).report
    assert [h.mitotic_figures for h in again.hotspots] == [2, 1]
    assert {h.shape for h in again.hotspots} == {"disc"}
    assert again.counts.component is None
    assert again.counts.mitotic_figures == analysis.report.counts.mitotic_figures
    assert again.counts.expected == analysis.report.counts.expected
    assert again.analysis_id != analysis.report.analysis_id
    assert recount(analysis, CountingOptions()).report == analysis.report
    none = recount(analysis, CountingOptions(), threshold=1.0).report
    assert (none.counts.mitotic_figures, sum(t.mitotic_count for t in none.tiles)) == (0, 0)
    with pytest.raises(RequestError, match="lower one"):
        recount(analysis, CountingOptions(), threshold=0.01)


@pytest.mark.parametrize(
    "bad",
    [
        {"hotspot_area": 0},
        {"hotspot_area": 2, "field_diameter": 0.5},
        {"field_diameter": float("nan")},
        {"hotspots": -1},
        {"hotspot_min_tissue": 2},
        {"fields": 0},
        {"profile": "x"},
    ],
)
def test_options_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises((RequestError, ValidationError), match="|".join(bad)):
        CountingOptions(**bad)


def test_fields_of_a_microscope_make_the_area() -> None:
    options = ScoringOptions(counting=CountingOptions(field_diameter=0.1, fields=12))
    report = score_slide(ArraySlide(tissue(3000, 2000), mpp=0.25), DotDetector(), options).report
    counting = report.settings.counting
    assert counting is not None
    assert counting.hotspot_area_mm2 == pytest.approx(0.0942, abs=1e-4)


def test_reports_of_the_last_version_are_read() -> None:
    report = _slide((437, 437)).report.model_dump(mode="json")
    report["schema_version"] = "1.0"
    del report["settings"]["counting"], report["settings"]["qc"], report["quality"], report["timing"]["quality_s"]
    for name in ("interval", "expected", "distribution", "component"):
        del report["counts"][name]
    for hotspot in report["hotspots"]:
        for name in ("shape", "tissue_fraction", "expected_figures"):
            del hotspot[name]
    assert Report.model_validate(report).schema_version == "1.0"
