"""A card that states a calibration: probabilities, threshold and expected count are of what it makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from serving.core.card_parts import FigureCount, ProbabilityCalibration
from serving.core.errors import RequestError
from serving.core.geometry import Roi
from serving.core.modelcard import ModelCard
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.probability import IDENTITY, LogitAffine, MonotoneTable, ProbabilityMap
from serving.core.report import Report
from serving.scoring.analysis import Analysis
from serving.scoring.expected import Z_95, count_figures
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_cards, make_verifier_card, plant, tissue

STATED = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
COUNT = FigureCount(factor=1.25, spread=0.2, **STATED)
HALF = LogitAffine(slope=0.5, intercept=-1.0)
SIDES = (24, 24, 18, 14, 12)
"""Dots of several sizes, whose probabilities differ."""


def slide() -> ArraySlide:
    pixels = tissue(1200, 900)
    for i, side in enumerate(SIDES):
        plant(pixels, 150 + 200 * i, 300, side=side)
    return ArraySlide(pixels, mpp=0.25, name="dots")


def card(base: ModelCard, probability_map: ProbabilityMap | None = None, count: FigureCount | None = None) -> ModelCard:
    calibration = None if probability_map is None else ProbabilityCalibration(map=probability_map, **STATED)
    return base.model_copy(update={"probability_calibration": calibration, "figure_count": count})


def analyse(last: ModelCard, **options: object) -> Analysis:
    detector = DotDetector()
    if last.task == "verification":
        detector = replace(detector, verification_card=last)
    else:
        detector = replace(detector, detection_card=last)
    return score_slide(slide(), detector, ScoringOptions(**options))  # type: ignore[arg-type]


LAST = [make_verifier_card(detection=0.5, candidate=0.1), make_cards()[1]]


@pytest.mark.parametrize("last", LAST, ids=["verifier", "det"])
def test_probabilities_and_threshold_are_calibrated(last: ModelCard) -> None:
    raw = analyse(last, threshold=0.0).report
    made = analyse(card(last, HALF), threshold=0.0).report
    assert [(d.x, d.y) for d in made.detections] == [(d.x, d.y) for d in raw.detections]
    expected = HALF.apply(np.asarray([d.probability for d in raw.detections]))
    assert [d.probability for d in made.detections] == pytest.approx(expected, abs=2e-3), "reports round to five digits"
    assert max(expected) > 0.5 > min(expected)
    by_card = analyse(card(last, HALF)).report.detections
    assert len(by_card) == int((expected >= 0.5).sum()) < len(expected)


@pytest.mark.parametrize("last", LAST, ids=["verifier", "det"])
def test_a_card_without_a_calibration_changes_nothing(last: ModelCard) -> None:
    plain, neutral = analyse(last).report, analyse(card(last, IDENTITY)).report
    assert plain.detections == neutral.detections
    assert plain.counts.expected is not None
    assert plain.counts.expected.source == "screening scores"
    assert plain.counts.expected.below_threshold == []


@pytest.mark.parametrize("last", LAST, ids=["verifier", "det"])
def test_the_expected_count_is_of_all_candidates_whatever_the_threshold(last: ModelCard) -> None:
    everything = analyse(card(last, HALF, COUNT), threshold=0.0).report
    p = np.asarray([d.probability for d in everything.detections])
    mean, low, high = count_figures(p, COUNT.factor, COUNT.spread)
    for threshold in (0.0, 0.5, 0.9, 1.0):
        expected = analyse(card(last, HALF, COUNT), threshold=threshold).report.counts.expected
        assert expected is not None
        assert expected.source == "calibrated probabilities"
        assert expected.mitotic_figures == pytest.approx(mean, abs=2e-3) == pytest.approx(1.25 * p.sum(), abs=2e-3)
        assert expected.interval is not None
        assert (expected.interval.low, expected.interval.high) == pytest.approx((low, high), abs=0.01)
        assert len(expected.below_threshold) == int((p < threshold).sum())
        assert "calibrated probabilities" in expected.words


def test_a_hotspot_expects_what_lies_in_it() -> None:
    report = analyse(card(LAST[0], HALF, COUNT), threshold=0.5, counting=CountingOptions(hotspot_area=0.1)).report
    assert report.counts.expected is not None
    assert report.hotspots[0].expected_figures == pytest.approx(report.counts.expected.mitotic_figures, abs=2e-3)


def test_a_stored_result_counted_again_expects_the_same() -> None:
    analysis = analyse(card(LAST[0], HALF, COUNT), threshold=0.1)
    stored = replace(analysis, report=Report.model_validate_json(analysis.report.model_dump_json()))
    again = recount(stored, CountingOptions(), threshold=0.5).report
    assert len(again.detections) < len(analysis.report.detections)
    assert again.counts.expected == analysis.report.counts.expected
    twice = recount(replace(stored, report=recount(stored, CountingOptions()).report), CountingOptions()).report
    assert twice.counts == analysis.report.counts
    with pytest.raises(RequestError):
        recount(stored, CountingOptions(), threshold=0.04)


def test_outside_the_roi_nothing_is_expected() -> None:
    roi = Roi(((0, 0), (250, 0), (250, 900), (0, 900)))
    expected = analyse(card(LAST[0], HALF, COUNT), threshold=0.99, roi=roi).report.counts.expected
    assert expected is not None
    assert all(x <= 250 for x, _, _ in expected.below_threshold)
    assert expected.mitotic_figures < 1.25


def test_a_screening_model_has_nothing_to_calibrate() -> None:
    screening, _ = make_cards()
    for change in ({"probability_calibration": {"map": IDENTITY, **STATED}}, {"figure_count": COUNT}):
        with pytest.raises(ValidationError, match="a screening model has no probability"):
            ModelCard.model_validate({**screening.model_dump(), **change})


def test_a_card_keeps_its_calibration_as_json() -> None:
    stated = card(LAST[0], HALF, COUNT)
    assert ModelCard.model_validate_json(stated.model_dump_json()) == stated


_SHARES = st.floats(0, 1)


@given(st.floats(0.01, 50), st.floats(-20, 20), st.lists(_SHARES, min_size=2))
def test_a_logit_affine_map_keeps_the_order(slope: float, intercept: float, p: list[float]) -> None:
    made = LogitAffine(slope=slope, intercept=intercept).apply(np.sort(np.asarray(p)))
    assert ((made >= 0) & (made <= 1)).all()
    assert (np.diff(made) >= 0).all()


@given(st.lists(_SHARES, min_size=1, unique=True), st.data(), st.lists(_SHARES, min_size=2))
def test_a_table_keeps_the_order(points: list[float], data: st.DataObject, p: list[float]) -> None:
    values = sorted(data.draw(st.lists(_SHARES, min_size=len(points), max_size=len(points))))
    made = MonotoneTable(probabilities=sorted(points), values=values).apply(np.sort(np.asarray(p)))
    assert (np.diff(made) >= 0).all()
    assert ((made >= values[0]) & (made <= values[-1])).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "logit-affine", "slope": 0, "intercept": 0},
        {"kind": "logit-affine", "slope": -1, "intercept": 0},
        {"kind": "logit-affine", "slope": "inf", "intercept": 0},
        {"kind": "logit-affine", "slope": 1, "intercept": "nan"},
        {"kind": "table", "probabilities": [0.1, 0.1], "values": [0, 1]},
        {"kind": "table", "probabilities": [0.1, 0.2], "values": [1, 0]},
        {"kind": "table", "probabilities": [0.1, 0.2], "values": [0]},
        {"kind": "table", "probabilities": [], "values": []},
        {"kind": "spline"},
    ],
)
def test_a_map_that_would_turn_detections_round_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ProbabilityMap).validate_python(wrong)


@given(st.lists(_SHARES, max_size=30), st.floats(1, 3), st.floats(0, 1))
def test_the_interval_holds_the_count_and_grows_with_the_spread(p: list[float], factor: float, spread: float) -> None:
    array = np.asarray(p, np.float64)
    count, low, high = count_figures(array, factor, spread)
    assert 0 <= low <= count <= high
    assert count == pytest.approx(factor * sum(p))
    _, narrow_low, narrow_high = count_figures(array, factor, 0)
    assert low <= narrow_low
    assert narrow_high <= high


def test_the_interval_of_sure_figures_is_the_spread_between_patients() -> None:
    _, low, high = count_figures(np.ones(100), 1.0, 0.1)
    assert (low, high) == pytest.approx((100 - Z_95 * 10, 100 + Z_95 * 10))
