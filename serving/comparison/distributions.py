"""Distributions of many numbers as shares of fixed bins, and how far two of them are apart."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SCORE_EDGES: NDArray[np.float64] = np.concatenate([[-np.inf], np.geomspace(1e-5, 4.0, 57), [np.inf]])
"""Of sub-tile scores: ten bins a decade, since most of tissue has scores of a few thousandths."""
MERGED_SHARE = 0.1
"""Bins of the index are merged until each holds a tenth of the reference: deciles, as is usual."""
SMALLEST = 1e-4
"""A share that is empty counts as this, or one empty bin would make the index infinite."""

Shares = NDArray[np.float64]
"""float64, shape (bins,), adding up to 1, or all zero where there was nothing."""


def compute_shares(values: NDArray[np.floating], edges: NDArray[np.float64]) -> Shares:
    """The share of each bin; NaN is left out. values : float, any shape."""
    counts = np.histogram(values[np.isfinite(values)], edges)[0].astype(np.float64)
    return np.asarray(counts / max(counts.sum(), 1.0))


def mean_shares(each: Iterable[Shares]) -> Shares:
    """The mean of several distributions, each with the same weight however many numbers it is of."""
    return np.asarray(np.mean(list(each), axis=0))


def population_stability(reference: Shares, recent: Shares) -> float:
    """The population stability index: the sum over bins of (q - p) ln(q / p).

    Siddiqi, Credit Risk Scorecards (2006): below .1 no change, .1 to .25 some, above .25 a large one.
    """
    groups = _merge_bins(reference)
    p, q = (np.maximum(np.bincount(groups, shares), SMALLEST) for shares in (reference, recent))
    return float(((q - p) * np.log(q / p)).sum())


def largest_gap(first: Shares, second: Shares) -> float:
    """The Kolmogorov-Smirnov distance: the largest difference of the cumulated shares, at the bins' edges."""
    return float(np.abs(np.cumsum(first - second)).max(initial=0.0))


def _merge_bins(reference: Shares) -> NDArray[np.intp]:
    """Which of the index's bins each bin belongs to: neighbours together until they hold `MERGED_SHARE`."""
    groups, group, held = np.empty(len(reference), np.intp), 0, 0.0
    left = float(reference.sum())
    for i, share in enumerate(reference):
        groups[i] = group
        held, left = held + float(share), left - float(share)
        if held >= MERGED_SHARE and left >= MERGED_SHARE:
            group, held = group + 1, 0.0
    return groups
