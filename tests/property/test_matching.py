from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.scoring.matching import match_centres

pytestmark = pytest.mark.property
RADIUS = 10.0
points = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5).map(
    lambda p: np.asarray(p, np.float64).reshape(-1, 2)
)


def _most(predicted: np.ndarray, true: np.ndarray) -> int:
    """Pairs in the best of all assignments, tried one by one."""
    near = np.linalg.norm(predicted[:, None] - true[None], axis=2) <= RADIUS
    for count in range(min(len(predicted), len(true)), 0, -1):
        for chosen in combinations(range(len(predicted)), count):
            if any(
                all(near[i, j] for i, j in zip(chosen, p, strict=True)) for p in permutations(range(len(true)), count)
            ):
                return count
    return 0


@given(points, points)
def test_pairs_are_one_to_one_near_and_as_many_as_can_be(predicted: np.ndarray, true: np.ndarray) -> None:
    pairs = match_centres(predicted, true, RADIUS)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(np.linalg.norm(predicted[i] - true[j]) <= RADIUS for i, j in pairs)
    assert len(pairs) == _most(predicted, true)
