import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from serving.comparison.distributions import SCORE_EDGES, compute_shares, largest_gap, population_stability


def test_the_index_by_hand() -> None:
    reference, recent = np.asarray([0.5, 0.5]), np.asarray([0.7, 0.3])
    assert population_stability(reference, recent) == pytest.approx(0.2 * np.log(0.7 / 0.5) - 0.2 * np.log(0.3 / 0.5))
    assert population_stability(reference, reference) == 0
    assert np.isfinite(population_stability(np.asarray([1.0, 0.0]), np.asarray([0.0, 1.0])))


def test_thin_bins_are_merged_to_tenths() -> None:
    """What moves among bins that hold almost nothing is no drift; what leaves a tenth is."""
    reference = np.asarray([0.001] * 100 + [0.9])
    within = np.asarray([0.0] * 99 + [0.1] + [0.9])
    assert population_stability(reference, within) == pytest.approx(0, abs=1e-12)
    assert population_stability(reference, np.asarray([0.0] * 100 + [1.0])) > 0.25


def test_the_gap_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    edges = np.linspace(0, 1, 1001)
    first, second = rng.beta(2, 5, 400), rng.beta(2, 4, 300)
    expected = ks_2samp(first, second).statistic
    assert largest_gap(compute_shares(first, edges), compute_shares(second, edges)) == pytest.approx(expected, abs=0.01)


@given(arrays(np.float32, st.integers(0, 40), elements=st.floats(0, 100, width=32) | st.just(np.nan)))
def test_every_score_has_a_bin(scores: NDArray[np.float32]) -> None:
    assert compute_shares(scores, SCORE_EDGES).sum() == pytest.approx(float(np.isfinite(scores).any()))
