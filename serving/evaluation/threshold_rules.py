"""Rules that choose the probability from which a detection counts. One function each, by name.

A new one is a function with the decorator `THRESHOLD_RULES.register`. A rule sees a ranking of the pictures that it may choose on,
and returns a threshold in 0..1; detections of at least that count.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from serving.evaluation.ranking import Ranking, rank_scores
from serving.plugins import Registry

Rule = Callable[[Ranking], float]
THRESHOLD_RULES: Registry[Rule] = Registry("threshold rule")
"""Rules by name."""
FLAT = 0.05
"""How far the threshold may be off before F1 should notice."""
_STEP = 0.005
_GRID = np.arange(0, 1 + _STEP / 2, _STEP)


def f1_at(ranking: Ranking, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
    """F1 at each threshold, shape (K,); 0 where there are neither figures nor detections."""
    rising = ranking.probabilities[::-1]
    kept = len(rising) - np.searchsorted(rising, thresholds.astype(rising.dtype), side="left")
    hits = np.append(0, ranking.hits.cumsum())[kept]
    return 2 * hits / np.maximum(kept + ranking.figures, 1)


@THRESHOLD_RULES.register("best-f1")
def best_f1(ranking: Ranking) -> float:
    """The highest F1 of all figures together, halfway to the next detection below; of equals, the middle one."""
    ends = ranking.ends()
    if not len(ends):
        return 1.0
    own = ranking.probabilities[ends].astype(np.float64)
    between = (own + np.append(own[1:], max(own[-1] - 2 * _STEP, 0.0))) / 2
    return float(between[_middle_of_highest(f1_at(ranking, between))])


@THRESHOLD_RULES.register("flat-f1")
def flat_f1(ranking: Ranking) -> float:
    """Where the lowest F1 within .05 of the threshold is highest: on a plateau, and not on a peak of luck."""
    return _flattest(f1_at(ranking, _GRID))


@THRESHOLD_RULES.register("flat-group-f1")
def flat_group_f1(ranking: Ranking) -> float:
    """As `flat-f1`, of the mean of the groups' F1: many figures in one group have no more say than few in another."""
    groups = [group for group, figures in ranking.figures_of.items() if figures]
    curves = [f1_at(ranking.select_group(group), _GRID) for group in groups]
    return _flattest(np.mean(curves, 0)) if curves else 1.0


@THRESHOLD_RULES.register("recall-0.95")
def recall_95(ranking: Ranking) -> float:
    """The highest that 95 % of the figures reach; see `highest_with_recall`."""
    return highest_with_recall(ranking, 0.95)


@THRESHOLD_RULES.register("recall-0.99")
def recall_99(ranking: Ranking) -> float:
    """The highest that 99 % of the figures reach; see `highest_with_recall`."""
    return highest_with_recall(ranking, 0.99)


def highest_with_recall(ranking: Ranking, recall: float) -> float:
    """The highest threshold, in steps of 0.01, that a share of what is to be found reaches.

    0 where so many were not found, 1 where nothing was.
    """
    if not len(ranking.probabilities):
        return 1.0
    found = ranking.probabilities[ranking.hits]
    wanted = int(np.ceil(recall * ranking.figures))
    if not ranking.figures or wanted > len(found):
        return 0.0
    return float(np.floor(np.float64(found[max(wanted, 1) - 1]) * 100) / 100)


def sub_tile_ranking(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> Ranking:
    """Scores of sub-tiles as a ranking, so that the same rules choose a screening threshold: what is found is a positive.

    scores : float, shape (N,); positives : bool, shape (N,)
    """
    return rank_scores(scores, positives, np.full(len(scores), "sub-tiles"), {"sub-tiles": int(positives.sum())})


def _flattest(curve: NDArray[np.float64]) -> float:
    """The point of the grid around which the curve's lowest value is highest."""
    if not curve.any():
        return 1.0
    lowest = minimum_filter1d(curve, 2 * round(FLAT / _STEP) + 1, mode="nearest")
    return float(_GRID[_middle_of_highest(lowest)])


def _middle_of_highest(curve: NDArray[np.float64]) -> int:
    best = np.flatnonzero(curve >= curve.max() - 1e-12)
    return int(best[len(best) // 2])
