"""Rules that choose the probability from which a detection counts. One function each, by name.

A new one is a function with the decorator `register_rule`. A rule sees a ranking of the pictures that it may choose on,
and returns a threshold in 0..1; detections of at least that count.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from training.evaluation.ranking import Ranking

Rule = Callable[[Ranking], float]
THRESHOLD_RULES: dict[str, Rule] = {}
"""Rules by name."""
FLAT = 0.05
"""How far the threshold may be off before F1 should notice."""
_STEP = 0.005
_GRID = np.arange(0, 1 + _STEP / 2, _STEP)


def register_rule(name: str) -> Callable[[Rule], Rule]:
    """Decorate a rule to make it known by `name`.

    Raises
    ------
    ValueError
        If the name is taken.
    """

    def add(rule: Rule) -> Rule:
        if name in THRESHOLD_RULES:
            raise ValueError(f"there is already a threshold rule {name!r}")
        THRESHOLD_RULES[name] = rule
        return rule

    return add


def f1_at(ranking: Ranking, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
    """F1 at each threshold, shape (K,); 0 where there are neither figures nor detections."""
    rising = ranking.probabilities[::-1]
    kept = len(rising) - np.searchsorted(rising, thresholds.astype(rising.dtype), side="left")
    hits = np.append(0, ranking.hits.cumsum())[kept]
    return 2 * hits / np.maximum(kept + ranking.figures, 1)


@register_rule("best-f1")
def best_f1(ranking: Ranking) -> float:
    """The highest F1 of all figures together, halfway to the next detection below; of equals, the middle one."""
    ends = ranking.ends()
    if not len(ends):
        return 1.0
    own = ranking.probabilities[ends].astype(np.float64)
    between = (own + np.append(own[1:], max(own[-1] - 2 * _STEP, 0.0))) / 2
    return float(between[_middle_of_highest(f1_at(ranking, between))])


@register_rule("flat-f1")
def flat_f1(ranking: Ranking) -> float:
    """Where the lowest F1 within .05 of the threshold is highest: on a plateau, and not on a peak of luck."""
    return _flattest(f1_at(ranking, _GRID))


@register_rule("flat-group-f1")
def flat_group_f1(ranking: Ranking) -> float:
    """As `flat-f1`, of the mean of the groups' F1: many figures in one group have no more say than few in another."""
    groups = [group for group, figures in ranking.figures_of.items() if figures]
    curves = [f1_at(ranking.of(group), _GRID) for group in groups]
    return _flattest(np.mean(curves, 0)) if curves else 1.0


def _flattest(curve: NDArray[np.float64]) -> float:
    """The point of the grid around which the curve's lowest value is highest."""
    if not curve.any():
        return 1.0
    lowest = minimum_filter1d(curve, 2 * round(FLAT / _STEP) + 1, mode="nearest")
    return float(_GRID[_middle_of_highest(lowest)])


def _middle_of_highest(curve: NDArray[np.float64]) -> int:
    best = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(best[len(best) // 2])
