"""Agreement of several readers, against the worked examples of those who published the measures."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.review.reader_agreement import measure_count_agreement, measure_fleiss_kappa
from serving.review.verdicts import cohens_kappa

FLEISS_1971 = (
    (0, 0, 0, 6, 0), (0, 3, 0, 0, 3), (0, 1, 4, 0, 1), (0, 0, 0, 0, 6), (0, 3, 0, 3, 0), (2, 0, 4, 0, 0), (0, 0, 4, 0, 2),
    (2, 0, 3, 1, 0), (2, 0, 0, 4, 0), (0, 0, 0, 0, 6), (1, 0, 0, 5, 0), (1, 1, 0, 4, 0), (0, 3, 3, 0, 0), (1, 0, 0, 5, 0),
    (0, 2, 0, 3, 1), (0, 0, 5, 0, 1), (3, 0, 0, 1, 2), (5, 1, 0, 0, 0), (0, 2, 0, 4, 0), (1, 0, 2, 0, 3), (0, 0, 0, 0, 6),
    (0, 1, 0, 5, 0), (0, 2, 0, 1, 3), (2, 0, 0, 4, 0), (1, 0, 0, 4, 1), (0, 5, 0, 1, 0), (4, 0, 0, 0, 2), (0, 2, 0, 4, 0),
    (1, 0, 5, 0, 0), (0, 0, 0, 0, 6),
)  # fmt: skip
"""Thirty patients, six psychiatrists, five diagnoses: Table 1 of Fleiss, Psychological Bulletin 1971;76:378."""

SHROUT_FLEISS_1979 = ((9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7))
"""Six targets, four judges: Table 2 of Shrout and Fleiss, Psychological Bulletin 1979;86:420."""


def spread(counts: tuple[int, ...]) -> list[int]:
    return [category for category, number in enumerate(counts) for _ in range(number)]


def test_fleiss_example_gives_the_published_kappa() -> None:
    found = measure_fleiss_kappa([spread(row) for row in FLEISS_1971], categories=5)
    assert found == pytest.approx(0.430, abs=5e-4)


def test_shrout_and_fleiss_example_gives_the_published_correlation() -> None:
    found = measure_count_agreement(SHROUT_FLEISS_1979)
    assert (found.slides, found.readers) == (6, 4)
    assert found.icc == pytest.approx(0.29, abs=5e-3)
    assert found.low == pytest.approx(0.019, abs=1e-3)  # as the package psych for R states it of the same table
    assert found.high == pytest.approx(0.76, abs=5e-3)


def test_two_readers_by_hand() -> None:
    # Both say yes of 20, both say no of 15, 5 and 10 stand apart: (0.7 - 0.5) / (1 - 0.5).
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    # Fleiss takes both readers' shares together: 55 of 100 are yes, so chance is 0.55^2 + 0.45^2 = 0.505.
    assert measure_fleiss_kappa([[int(a), int(b)] for a, b in pairs], 2) == pytest.approx((0.7 - 0.505) / 0.495)


def test_what_is_not_defined_is_none() -> None:
    assert measure_fleiss_kappa([], 2) is None
    assert measure_fleiss_kappa([[1], [0]], 2) is None
    assert measure_fleiss_kappa([[1, 1], [1, 1]], 2) is None
    assert measure_count_agreement([]).icc is None
    assert measure_count_agreement([(3, 4)]).icc is None
    assert measure_count_agreement([(3,), (4,)]).icc is None
    assert measure_count_agreement([(3, 3), (3, 3)]).icc is None


def test_ragged_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="as many ratings"):
        measure_fleiss_kappa([[0, 1], [1]], 2)
    with pytest.raises(ValueError, match="every reader"):
        measure_count_agreement([(1, 2), (1,)])


def test_readers_who_agree_on_every_count_agree_fully() -> None:
    found = measure_count_agreement([(1, 1, 1), (7, 7, 7), (4, 4, 4)])
    assert found.icc == pytest.approx(1)
    assert (found.low, found.high) == (None, None)


@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=1, max_size=20))
def test_fleiss_kappa_knows_no_order_of_readers(ratings: list[list[int]]) -> None:
    found = {
        order: measure_fleiss_kappa([[row[i] for i in order] for row in ratings], 2) for order in permutations(range(3))
    }
    first = found[0, 1, 2]
    for kappa in found.values():
        assert kappa == (None if first is None else pytest.approx(first))
    assert first is None or -0.5 - 1e-9 <= first <= 1 + 1e-9  # not below -1 / (readers - 1)


@given(st.lists(st.lists(st.integers(0, 99), min_size=3, max_size=3), min_size=2, max_size=12), st.integers(1, 9))
def test_the_correlation_knows_no_scale_and_lies_in_its_interval(counts: list[list[int]], factor: int) -> None:
    found = measure_count_agreement(counts)
    scaled = measure_count_agreement((np.asarray(counts) * factor).tolist())
    if found.icc is None:
        assert scaled.icc is None
        return
    assert found.icc <= 1 + 1e-9
    assert scaled.icc == pytest.approx(found.icc)
    if found.low is not None and found.high is not None:
        assert found.low - 1e-9 <= found.icc <= found.high + 1e-9
