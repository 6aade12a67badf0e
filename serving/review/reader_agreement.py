"""How far several readers agree: on objects by Fleiss' kappa, on counts of slides by an intraclass correlation.

Two readers are compared by `serving.review.verdicts.agreements`, whose `cohens_kappa` studies and reviews share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

LEVEL = 0.95
"""Of intervals."""


@dataclass(frozen=True, slots=True)
class ReaderCountAgreement:
    """ICC(2,1): two-way random effects, absolute agreement, one reader (Shrout and Fleiss, 1979).

    icc : None with fewer than two slides or readers, or where all counts are the same
    low, high : limits of its 95 % interval; None where it is not defined
    """

    slides: int
    readers: int
    icc: float | None
    low: float | None
    high: float | None


def measure_fleiss_kappa(ratings: Sequence[Sequence[int]], categories: int) -> float | None:
    """Agreement of as many readers on each object, beyond chance.

    (P - P_e) / (1 - P_e), with P the mean share of pairs of readers that agree on an object and P_e the sum of the squared shares
    of the categories: Fleiss, Psychological Bulletin 1971;76:378.

    Parameters
    ----------
    ratings
        Of each object the category that each reader chose, from 0 on.
    categories
        How many there are.

    Returns
    -------
    float or None
        None where there is no object, fewer than two readers, or all ratings are the same.

    Raises
    ------
    ValueError
        If objects have different numbers of ratings.
    """
    if len({len(row) for row in ratings}) > 1:
        raise ValueError("Fleiss' kappa takes as many ratings of each object")
    if not ratings or len(ratings[0]) < 2:
        return None
    readers = len(ratings[0])
    counts = np.asarray([np.bincount(row, minlength=categories) for row in ratings], np.float64)
    agreed = float(((counts**2).sum(1) - readers).mean() / (readers * (readers - 1)))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return None if chance >= 1 else (agreed - chance) / (1 - chance)


def measure_count_agreement(counts: Sequence[Sequence[float]]) -> ReaderCountAgreement:
    """ICC(2,1) of counts, with its interval.

    (MSB - MSE) / (MSB + (k - 1) MSE + k (MSJ - MSE) / n), from mean squares between slides, between readers and of the rest:
    Shrout and Fleiss, Psychological Bulletin 1979;86:420, whose interval rests on Satterthwaite's degrees of freedom.

    Parameters
    ----------
    counts
        Of each slide the count of each reader, in the same order of readers.

    Raises
    ------
    ValueError
        If slides have different numbers of counts.
    """
    if len({len(row) for row in counts}) > 1:
        raise ValueError("ICC(2,1) takes a count of every reader for each slide")
    n, k = len(counts), len(counts[0]) if counts else 0
    if n < 2 or k < 2:
        return ReaderCountAgreement(n, k, None, None, None)
    x = np.asarray(counts, np.float64)
    slides, readers, mean = x.mean(1, keepdims=True), x.mean(0, keepdims=True), x.mean()
    between = float(k * ((slides - mean) ** 2).sum() / (n - 1))
    raters = float(n * ((readers - mean) ** 2).sum() / (k - 1))
    rest = float(((x - slides - readers + mean) ** 2).sum() / ((n - 1) * (k - 1)))
    spread = between + (k - 1) * rest + k * (raters - rest) / n
    if spread <= 0 or np.ptp(x) == 0:
        return ReaderCountAgreement(n, k, None, None, None)
    icc = (between - rest) / spread
    return ReaderCountAgreement(n, k, icc, *_find_interval(icc, n, k, between=between, raters=raters, rest=rest))


def _find_interval(
    icc: float, n: int, k: int, *, between: float, raters: float, rest: float
) -> tuple[float | None, float | None]:
    """The limits of the interval; without a rest, or where nothing is left to divide by, there is none."""
    if rest <= 1e-12 * max(between, raters):
        return None, None
    ratio = raters / rest
    share = n * (1 + (k - 1) * icc) - k * icc
    below = (n - 1) * k**2 * icc**2 * ratio**2 + share**2
    if below < 1e-12:
        return None, None
    freedom = (k - 1) * (n - 1) * (k * icc * ratio + share) ** 2 / below
    tail = 1 - (1 - LEVEL) / 2
    upper, lower = float(special.fdtri(n - 1, freedom, tail)), float(special.fdtri(freedom, n - 1, tail))
    others = k * raters + (k * n - k - n) * rest
    low = n * (between - upper * rest) / (upper * others + n * between)
    high = n * (lower * between - rest) / (others + n * lower * between)
    return (low, high) if low <= icc <= high else (None, None)  # also where one is no number
