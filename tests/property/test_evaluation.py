"""What holds of rates, curves and intervals whatever the data."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.evaluation.bootstrap import bootstrap_interval
from serving.evaluation.metrics import FieldDetections, rates
from serving.evaluation.ranking import average_precision_by_distance
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.scoring.reliability import reliability, wilson_interval
from training.evaluation.curves import froc
from training.evaluation.sub_tiles import sub_tile_rates

pytestmark = pytest.mark.property

# Few distinct values, so that ties are common.
shares = st.integers(0, 8).map(lambda n: n / 8)
scored = st.lists(st.tuples(shares, st.booleans()), max_size=12)
places = st.tuples(st.integers(0, 90), st.integers(0, 90))


@st.composite
def fields(draw: st.DrawFn) -> FieldDetections:
    detections = draw(st.lists(st.tuples(places, shares), max_size=7))
    truth, ambiguous, look_alikes = (draw(st.lists(places, max_size=limit)) for limit in (5, 3, 3))
    p = np.asarray([p for _, p in detections], np.float32)
    centres = np.asarray([c for c, _ in detections], np.float32).reshape(-1, 2)
    points = [np.asarray(of, np.float32).reshape(-1, 2) for of in (truth, ambiguous, look_alikes)]
    return FieldDetections("f", draw(st.sampled_from("AB")), 0.25, centres, p, p, *points)


found_lists = st.lists(fields(), min_size=1, max_size=3)


@given(scored, st.lists(st.floats(-1, 2), min_size=2, max_size=6).map(sorted))
def test_rates_never_rise_with_the_threshold(rows: list[tuple[float, bool]], thresholds: list[float]) -> None:
    scores = np.asarray([s for s, _ in rows], np.float32)
    positives = np.asarray([p for _, p in rows], np.bool_)
    at = sub_tile_rates(scores, positives, thresholds)
    for low, high in pairwise(at):
        assert low.true_positives >= high.true_positives
        assert low.false_positives >= high.false_positives
    for row in at:
        assert np.isnan(row.tpr) if not positives.any() else 0 <= row.tpr <= 1
        assert np.isnan(row.fpr) if positives.all() else 0 <= row.fpr <= 1


@given(found_lists)
def test_froc_only_grows_and_counts_as_the_rates_do(found: list[FieldDetections]) -> None:
    curve = froc(found, [0.1] * len(found))
    assert (np.diff(curve.thresholds) < 0).all()
    assert (np.diff(curve.false_positives) >= 0).all()
    figures = sum(len(f.truth) for f in found)
    if figures:
        assert (np.diff(curve.sensitivity) >= 0).all()
    for threshold, sensitivity, false in zip(curve.thresholds, curve.sensitivity, curve.false_positives, strict=True):
        counted = rates(found, float(threshold))
        assert counted.false_positives == false
        assert np.isnan(sensitivity) if not figures else counted.recall == pytest.approx(sensitivity)


@given(fields(), shares)
def test_matches_are_as_many_as_can_be_at_every_threshold(found: FieldDetections, threshold: float) -> None:
    """In one pass over all detections: those of at least a threshold match as many objects as they could by themselves."""
    of, kept = found.outcomes(), found.probabilities >= threshold
    radius = MATCH_RADIUS_UM / found.mpp
    assert not (of.hits & of.ambiguous).any()
    assert not ((of.hits | of.ambiguous) & of.look_alikes).any()
    left = kept
    for matched, objects in (
        (of.hits, found.truth),
        (of.ambiguous, found.ambiguous),
        (of.look_alikes, found.look_alikes),
    ):
        assert (matched & kept).sum() == len(match_centres(found.centres[left], objects, radius))
        left = left & ~matched


@given(found_lists)
def test_average_precision_is_a_share_and_no_more_than_the_recall_of_all(found: list[FieldDetections]) -> None:
    value = average_precision_by_distance(found)
    if any(len(f.truth) for f in found):
        assert 0 <= value <= rates(found, 0.0).recall + 1e-12
    else:
        assert np.isnan(value)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=6), st.integers(0, 5))
def test_an_interval_of_the_mean_stays_within_the_units(units: list[float], seed: int) -> None:
    interval = bootstrap_interval(units, lambda d: float(np.mean(d)), unit="slides", draws=50, seed=seed)
    assert min(units) - 1e-9 <= interval.low <= interval.high <= max(units) + 1e-9


@given(shares, st.integers(2, 6))
def test_the_interval_of_equal_units_is_their_value(value: float, count: int) -> None:
    interval = bootstrap_interval([value] * count, lambda d: float(np.mean(d)), unit="slides", draws=20)
    assert interval.low <= interval.value <= interval.high
    assert interval.high == pytest.approx(interval.low)


@given(st.integers(0, 20))
def test_calibrated_data_has_a_small_calibration_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.random(20_000).astype(np.float32)
    curve = reliability(p, rng.random(20_000) < p)
    assert curve.expected_calibration_error < 0.02
    assert [b.count for b in curve.bins] == pytest.approx([2000] * 10, abs=5)


@given(scored, st.integers(1, 12))
def test_bins_hold_every_detection_once_in_order(rows: list[tuple[float, bool]], bins: int) -> None:
    curve = reliability(
        np.asarray([p for p, _ in rows], np.float32), np.asarray([h for _, h in rows], np.bool_), bins=bins
    )
    assert sum(b.count for b in curve.bins) == len(rows)
    assert len(curve.bins) <= bins
    assert sum(b.count * b.observed for b in curve.bins) == pytest.approx(sum(h for _, h in rows))
    means = [b.mean_probability for b in curve.bins]
    assert means == sorted(means)


@given(st.integers(1, 60), st.integers(0, 60))
def test_wilson_holds_the_observed_share(count: int, hits: int) -> None:
    share = min(hits, count) / count
    low, high = wilson_interval(min(hits, count), count)
    assert 0 <= low <= share <= high <= 1
