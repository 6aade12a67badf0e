from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from serving.evaluation.bootstrap import bootstrap_interval, spread


def mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def test_the_interval_of_three_units_as_all_27_draws_have_it() -> None:
    units = [0.1, 0.4, 0.8]
    every = [mean(draw) for draw in product(units, repeat=3)]
    interval = bootstrap_interval(units, mean, unit="slides", draws=20_000)
    low, high = np.quantile(every, [0.025, 0.975], method="inverted_cdf")
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.value == pytest.approx(mean(units))
    assert (interval.unit, interval.units) == ("slides", 3)


def test_a_seed_gives_the_same_interval_again() -> None:
    units = np.random.default_rng(0).random(12).tolist()
    a, b, c = (bootstrap_interval(units, mean, unit="fields", seed=s) for s in (1, 1, 2))
    assert a == b
    assert a != c


@pytest.mark.parametrize("units", [[], [0.5]])
def test_fewer_than_two_units_have_no_interval_but_a_reason(units: list[float]) -> None:
    interval = bootstrap_interval(units, mean, unit="patients")
    assert np.isnan([interval.low, interval.high]).all()
    assert interval.reason == f"an interval needs at least 2 patients; there are {len(units)}"
    assert interval.units == len(units)
    assert interval.value == pytest.approx(0.5 if units else np.nan, nan_ok=True)


def test_draws_without_a_value_are_left_out_and_counted() -> None:
    def defined_if_mixed(drawn: Sequence[int]) -> float:
        return 0.7 if len(set(drawn)) > 1 else float("nan")

    interval = bootstrap_interval([1, 2], defined_if_mixed, unit="slides", draws=400)
    assert (interval.low, interval.high) == (0.7, 0.7)
    assert 150 < interval.draws < 250
    never = bootstrap_interval([1, 2], lambda _: float("nan"), unit="slides")
    assert never.reason == "the statistic is undefined in every draw"


@pytest.mark.parametrize(("draws", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_impossible_settings_are_refused(draws: int, level: float) -> None:
    with pytest.raises(ValueError, match=f"{draws} draws"):
        bootstrap_interval([1, 2], lambda _: 0.0, unit="slides", draws=draws, level=level)


def test_spread_by_hand() -> None:
    of = spread([0.2, float("nan"), 0.4, 0.9])
    assert (of.minimum, of.median, of.maximum, of.units) == (0.2, 0.4, 0.9, 3)
    assert of.sd == pytest.approx(np.sqrt((0.3**2 + 0.1**2 + 0.4**2) / 2))


def test_spread_of_one_and_of_none() -> None:
    assert np.isnan(spread([0.5]).sd)
    none = spread([float("nan")])
    assert none.units == 0
    assert np.isnan([none.minimum, none.median, none.maximum, none.sd]).all()
