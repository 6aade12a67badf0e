import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.drift.statistics import angle_between, estimate_stains

HAEMATOXYLIN = np.asarray([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
EOSIN = np.asarray([0.17, 0.99, 0.21]) / np.linalg.norm([0.17, 0.99, 0.21])
"""About those of Ruifrok and Johnston (2001)."""


def mix(first: NDArray[np.float64], second: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Optical density of pixels that hold both stains in any mixture, with a little noise."""
    rng = np.random.default_rng(seed)
    share, depth = rng.beta(0.4, 0.4, (4000, 1)), rng.uniform(0.6, 1.6, (4000, 1))
    density = depth * (share * first + (1 - share) * second)
    return np.asarray(density + rng.normal(0, 0.003, density.shape))


@given(st.integers(0, 50))
def test_both_stains_are_found_and_told_apart(seed: int) -> None:
    found = estimate_stains(mix(HAEMATOXYLIN, EOSIN, seed))
    assert found is not None
    assert angle_between(found.haematoxylin, HAEMATOXYLIN) < 2
    assert angle_between(found.eosin, EOSIN) < 2
    assert np.linalg.norm(found.haematoxylin) == pytest.approx(1)


def test_a_turned_stain_is_a_turned_direction() -> None:
    turned = HAEMATOXYLIN + np.asarray([-0.2, 0, 0.2])
    before, after = estimate_stains(mix(HAEMATOXYLIN, EOSIN, 1)), estimate_stains(mix(turned, EOSIN, 1))
    assert before is not None
    assert after is not None
    expected = angle_between(HAEMATOXYLIN, turned / np.linalg.norm(turned))
    assert angle_between(before.haematoxylin, after.haematoxylin) == pytest.approx(expected, abs=1.5)
    assert angle_between(before.eosin, after.eosin) < 1.5


def test_what_is_hardly_stained_has_no_stain() -> None:
    assert estimate_stains(np.full((5000, 3), 0.05)) is None
    assert estimate_stains(mix(HAEMATOXYLIN, EOSIN, 1)[:100]) is None
