import json

import jsonschema  # type: ignore[import-untyped]  # ships no types
import numpy as np
import pytest

from serving.core.words import RESEARCH_USE
from serving.evaluation.bootstrap import Unit
from serving.evaluation.metrics import FieldDetections, rates
from serving.evaluation.ranking import rank
from serving.evaluation.threshold_rules import best_f1
from tests.unit.training.evaluation.examples import DATA, DET, field, generate, make_summary
from training.evaluation.curves import POINTS
from training.evaluation.measure import evaluate_found
from training.evaluation.summary import Detected, EvaluationSummary


def detect(summary: EvaluationSummary) -> Detected:
    assert summary.detection is not None
    return summary.detection


def evaluate(
    found: list[FieldDetections], *, areas: list[float] | None = None, unit: Unit = "slides"
) -> EvaluationSummary:
    return evaluate_found(
        found,
        None,
        areas_mm2=areas or [0.5] * len(found),
        threshold=0.5,
        how_chosen="given",
        data=DATA,
        models=[DET],
        unit=unit,
        draws=100,
    )


TWO_SLIDES = [
    field([(0, 0, 0.9), (500, 0, 0.6), (900, 0, 0.1)], [(0, 0), (100, 100)], slide="A"),
    field([(0, 0, 0.7), (500, 0, 0.6)], [], slide="A", name="empty"),
    field([(0, 0, 0.8)], [(0, 0)], slide="B"),
]


def test_counts_rates_and_rows_by_hand() -> None:
    s = evaluate(TWO_SLIDES)
    at = detect(s).counts
    assert (at.true_positives, at.false_positives, at.false_negatives) == (2, 3, 1)
    assert (at.precision.value, at.recall.value, at.f1.value) == pytest.approx((2 / 5, 2 / 3, 4 / 8))
    assert (at.f1.unit, at.f1.units) == ("slides", 2)
    assert at.f1.low == pytest.approx(2 / 6)
    assert at.f1.high == 1
    assert [(r.slide, r.fields, r.figures, r.f1) for r in detect(s).per_slide] == [
        ("A", 2, 2, 2 / 6),
        ("B", 1, 1, 1.0),
    ]
    assert (s.counts.slides, s.counts.fields, s.counts.figures, s.counts.area_mm2) == (2, 3, 3, 1.5)
    assert s.research_use == RESEARCH_USE


def test_counts_are_those_of_the_metrics() -> None:
    found = generate()
    at, counted = detect(make_summary(found)).counts, rates(found, 0.5)
    assert (at.true_positives, at.false_positives, at.false_negatives) == (
        counted.true_positives,
        counted.false_positives,
        counted.false_negatives,
    )
    assert at.f1.value == pytest.approx(counted.f1)
    assert at.f1.low is not None
    assert at.f1.high is not None
    assert at.f1.low <= counted.f1 <= at.f1.high


def test_false_positives_are_counted_where_no_figure_is() -> None:
    free = detect(evaluate(TWO_SLIDES, areas=[0.5, 0.25, 0.5])).figure_free
    assert (free.fields, free.false_positives, free.area_mm2, free.per_mm2.value) == (1, 2, 0.25, 8)
    assert free.per_mm2.low is None
    assert free.per_mm2.reason == "an interval needs at least 2 slides; there are 1"


def test_fields_as_units_where_they_are_asked_for() -> None:
    s = evaluate(TWO_SLIDES, unit="fields")
    assert (detect(s).counts.f1.unit, detect(s).counts.f1.units, detect(s).figure_free.per_mm2.units) == (
        "fields",
        3,
        1,
    )


def test_no_detections() -> None:
    s = evaluate([field([], [(0, 0)]), field([], [(5, 5)], slide="B")])
    assert (detect(s).counts.precision.value, detect(s).counts.recall.value, detect(s).counts.f1.value) == (
        None,
        0,
        0,
    )
    assert detect(s).average_precision.by_distance == 0
    assert detect(s).average_precision.coco_50_95 is None
    assert (detect(s).froc, detect(s).calibration.bins, detect(s).calibration.expected_calibration_error) == (
        [],
        [],
        None,
    )
    assert detect(s).figure_free.per_mm2.value is None


def test_no_truth() -> None:
    s = evaluate([field([(0, 0, 0.9)], [])])
    assert (detect(s).counts.precision.value, detect(s).counts.recall.value, detect(s).counts.f1.value) == (
        0,
        None,
        0,
    )
    assert detect(s).average_precision.by_distance is None
    assert detect(s).froc[0].sensitivity is None
    assert detect(s).figure_free.per_mm2.value == 2
    assert [row.units for row in detect(s).spread] == [1, 0, 1]


def test_the_json_keeps_to_its_schema_and_comes_back() -> None:
    s = make_summary(generate())
    text = s.model_dump_json()
    jsonschema.validate(json.loads(text), EvaluationSummary.model_json_schema())
    assert "NaN" not in text
    assert EvaluationSummary.model_validate_json(text) == s


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    rows = [(x, y, p) for x, y, p in rng.uniform((0, 0, 0), (9000, 9000, 1), (1000, 3))]
    froc = detect(evaluate([field(rows, [(0, 0)])])).froc
    assert len(froc) == POINTS
    assert (froc[0].threshold, froc[-1].threshold) == pytest.approx((max(r[2] for r in rows), min(r[2] for r in rows)))


def test_a_threshold_from_the_metrics_is_taken_as_it_is() -> None:
    found = generate()
    threshold = best_f1(rank(found))
    s = evaluate_found(
        found, None, areas_mm2=[1] * len(found), threshold=threshold, how_chosen="F1", data=DATA, models=[], draws=10
    )
    assert detect(s).counts.f1.value == pytest.approx(rates(found, threshold).f1)


def test_no_fields_or_areas_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no fields"):
        evaluate([])
    with pytest.raises(ValueError, match="areas above 0"):
        evaluate(TWO_SLIDES, areas=[1.0])
