import numpy as np
import pytest
from scipy.stats import binomtest

from serving.scoring.reliability import reliability, wilson_interval


def test_bins_and_error_by_hand() -> None:
    p = np.asarray([0.9, 0.1, 0.2, 0.7], np.float32)
    curve = reliability(p, np.asarray([True, False, True, False]), bins=2)
    low, high = curve.bins
    assert (low.count, low.mean_probability, low.observed) == pytest.approx((2, 0.15, 0.5))
    assert (high.count, high.mean_probability, high.observed) == pytest.approx((2, 0.8, 0.5))
    assert curve.expected_calibration_error == pytest.approx((0.35 + 0.3) / 2)


def test_equal_probabilities_share_a_bin_so_that_their_order_is_nothing() -> None:
    p = np.full(10, 0.3, np.float32)
    hits = np.arange(10) < 3
    curve = reliability(p, hits, bins=5)
    assert [b.count for b in curve.bins] == [10]
    assert curve == reliability(p, hits[::-1], bins=5)
    assert curve.expected_calibration_error == pytest.approx(0, abs=1e-6)


def test_fewer_detections_than_bins() -> None:
    curve = reliability(np.asarray([0.2, 0.6], np.float32), np.asarray([False, True]))
    assert [b.count for b in curve.bins] == [1, 1]


def test_no_detections_give_no_bins_and_no_error() -> None:
    curve = reliability(np.empty(0, np.float32), np.empty(0, np.bool_))
    assert curve.bins == []
    assert np.isnan(curve.expected_calibration_error)


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (5, 5), (3, 10), (1, 200)])
def test_wilson_as_scipy_has_it(hits: int, count: int) -> None:
    theirs = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson_interval(hits, count) == pytest.approx((theirs.low, theirs.high))


def test_wilson_without_cases_is_nan() -> None:
    assert np.isnan(wilson_interval(0, 0)).all()


@pytest.mark.parametrize(
    ("p", "hits", "bins", "says"),
    [
        ([0.5], [True, False], 10, "one length"),
        ([1.5], [True], 10, "not in 0..1"),
        ([float("nan")], [True], 10, "not in 0..1"),
        ([0.5], [True], 0, "0 bins"),
    ],
)
def test_what_is_no_probability_is_refused(p: list[float], hits: list[bool], bins: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reliability(np.asarray(p, np.float32), np.asarray(hits), bins=bins)
