"""How far two measurements of the same things agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WITHIN = 1.96
"""Standard deviations on both sides of the mean difference that hold 95 % of normally distributed differences."""


@dataclass(frozen=True, slots=True)
class PairedAgreement:
    """Of paired numbers; a difference is the second less the first. What needs more pairs than there are is None."""

    pairs: int
    mean_first: float | None
    mean_second: float | None
    mean_difference: float | None
    low: float | None
    """Lower limit of agreement (Bland and Altman, 1986): the mean difference less 1.96 standard deviations."""
    high: float | None
    concordance: float | None
    """Lin's concordance correlation coefficient (1989); None too where all numbers are the same."""


def measure_agreement(first: Sequence[float], second: Sequence[float]) -> PairedAgreement:
    """The agreement of two equally long lists, pair by pair.

    Limits of agreement: Bland and Altman, Lancet 1986;327:307. Concordance, with variances over n as in its definition:
    2 s_xy / (s_x^2 + s_y^2 + (mean_x - mean_y)^2), Lin, Biometrics 1989;45:255.
    """
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(x):
        return PairedAgreement(0, None, None, None, None, None, None)
    difference, low, high = y - x, None, None
    mean = float(difference.mean())
    if len(x) > 1:
        half = WITHIN * float(difference.std(ddof=1))
        low, high = mean - half, mean + half
    spread = float(x.var() + y.var() + mean**2)
    concordance = 2 * float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 and len(x) > 1 else None
    return PairedAgreement(len(x), float(x.mean()), float(y.mean()), mean, low, high, concordance)


def weighted_kappa(pairs: Sequence[tuple[int, int]], categories: int) -> float | None:
    """Agreement of two raters on ordered categories, beyond chance, by squared distance (Cohen, 1968).

    Of two categories it is Cohen's kappa (1960). None where nothing was rated, or chance alone would agree always.
    """
    if not pairs:
        return None
    table = np.zeros((categories, categories))
    np.add.at(table, tuple(np.asarray(pairs).T), 1 / len(pairs))
    away = np.subtract.outer(np.arange(categories), np.arange(categories)) ** 2
    chance = float((away * np.outer(table.sum(1), table.sum(0))).sum())
    return None if chance == 0 else 1 - float((away * table).sum()) / chance
