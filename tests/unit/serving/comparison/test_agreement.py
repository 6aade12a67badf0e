import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from serving.comparison.agreement import measure_agreement, weighted_kappa


def test_limits_of_agreement_and_concordance_by_hand() -> None:
    found = measure_agreement([1, 2, 3, 4], [2, 2, 4, 4])
    assert (found.pairs, found.mean_first, found.mean_second, found.mean_difference) == (4, 2.5, 3.0, 0.5)
    spread = 1.96 * np.sqrt(1 / 3)
    assert (found.low, found.high) == pytest.approx((0.5 - spread, 0.5 + spread))
    # s_xy = 1, s_x^2 = 1.25, s_y^2 = 1, squared difference of means .25
    assert found.concordance == pytest.approx(2 * 1 / (1.25 + 1 + 0.25))


def test_what_cannot_be_said_is_not_said() -> None:
    assert measure_agreement([], []).mean_difference is None
    one = measure_agreement([3], [5])
    assert (one.mean_difference, one.low, one.concordance) == (2, None, None)
    same = measure_agreement([4, 4], [4, 4])
    assert (same.low, same.high, same.concordance) == (0, 0, None)
    assert weighted_kappa([], 3) is None
    assert weighted_kappa([(1, 1), (1, 1)], 3) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_kappa_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    found = weighted_kappa(pairs, 3)
    if found is not None:
        first, second = zip(*pairs, strict=True)
        expected = cohen_kappa_score(first, second, labels=[0, 1, 2], weights="quadratic")
        assert found == pytest.approx(expected)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=20), st.floats(-20, 20))
def test_a_shift_is_the_mean_difference_and_no_spread(numbers: list[float], shift: float) -> None:
    found = measure_agreement(numbers, [n + shift for n in numbers])
    assert found.mean_difference == pytest.approx(shift, abs=1e-9)
    assert found.low == pytest.approx(found.high, abs=1e-6)
    assert found.concordance is None or found.concordance <= 1 + 1e-12
