"""How much a figure would change with other slides: percentile bootstrap intervals, and the spread between slides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

Unit = Literal["slides", "fields", "patients", "groups"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """A statistic of all units, with its percentile interval.

    value, low, high : NaN where undefined; low and high also where there is no interval, with the reason
    unit, units : what was drawn with replacement, and how many there are
    draws : those for which the statistic is defined; the others are left out
    """

    value: float
    low: float
    high: float
    level: float
    unit: Unit
    units: int
    draws: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Of the defined values of units; NaN where there are too few. sd : of a sample, divided by units - 1."""

    minimum: float
    median: float
    maximum: float
    sd: float
    units: int


def bootstrap_interval(
    units: Sequence[T],
    statistic: Callable[[Sequence[T]], float],
    *,
    unit: Unit,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> BootstrapInterval:
    """The percentile interval of a statistic over units drawn with replacement, as many as there are.

    Units must be independent: fields of one slide, and slides of one patient, are alike, and drawing those instead of
    slides or patients makes an interval too narrow.

    statistic : of a sequence of units; NaN where it is undefined

    Raises
    ------
    ValueError
        If `draws` is below 1 or `level` is not between 0 and 1.
    """
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"{draws} draws at level {level}")
    value = statistic(units) if units else float("nan")
    if len(units) < 2:
        return _none(value, level, unit, len(units), f"an interval needs at least 2 {unit}; there are {len(units)}")
    picks = np.random.default_rng(seed).integers(0, len(units), (draws, len(units))).tolist()
    drawn = np.asarray([statistic([units[i] for i in pick]) for pick in picks], np.float64)
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return _none(value, level, unit, len(units), "the statistic is undefined in every draw")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return BootstrapInterval(value, float(low), float(high), level, unit, len(units), len(defined))


def spread(values: Sequence[float]) -> Spread:
    """Minimum, median, maximum and standard deviation of the values that are defined."""
    defined = np.asarray([v for v in values if not np.isnan(v)], np.float64)
    nan = float("nan")
    if not len(defined):
        return Spread(nan, nan, nan, nan, 0)
    sd = float(defined.std(ddof=1)) if len(defined) > 1 else nan
    return Spread(float(defined.min()), float(np.median(defined)), float(defined.max()), sd, len(defined))


def _none(value: float, level: float, unit: Unit, units: int, reason: str) -> BootstrapInterval:
    return BootstrapInterval(value, float("nan"), float("nan"), level, unit, units, 0, reason)
