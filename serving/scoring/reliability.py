"""Whether a probability of p comes true in a share p of cases: the reliability curve."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % point, of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Detections of neighbouring probability; low, high : Wilson's 95 % interval of the observed share."""

    count: int
    mean_probability: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """bins : ascending in probability; expected_calibration_error : mean |observed - mean probability|, weighted by count.

    Without detections there are no bins, and the error is NaN.
    """

    bins: list[ReliabilityBin]
    expected_calibration_error: float


def reliability(probabilities: NDArray[np.floating], hits: NDArray[np.bool_], *, bins: int = 10) -> Reliability:
    """The reliability curve in bins of equal count; equal probabilities share a bin, so there may be fewer.

    probabilities : float, shape (N,); hits : bool, shape (N,), which of them came true

    Raises
    ------
    ValueError
        If probabilities and hits differ in shape, a probability is not in 0..1, or `bins` is below 1.
    """
    if probabilities.shape != hits.shape or probabilities.ndim != 1:
        raise ValueError(f"probabilities {probabilities.shape} and hits {hits.shape} must be flat and of one length")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not in 0..1")
    if bins < 1:
        raise ValueError(f"{bins} bins")
    if not len(probabilities):
        return Reliability([], float("nan"))
    order = np.argsort(probabilities, kind="stable")
    p, hit = probabilities[order].astype(np.float64), hits[order]
    starts = np.unique(np.searchsorted(p, p[np.arange(bins) * len(p) // bins]))
    parts = [_bin(p[i:j], hit[i:j]) for i, j in zip(starts, [*starts[1:], len(p)], strict=True)]
    error = sum(part.count * abs(part.observed - part.mean_probability) for part in parts) / len(p)
    return Reliability(parts, float(error))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (Wilson, 1927); NaN without cases."""
    if not count:
        return float("nan"), float("nan")
    share, z2 = hits / count, Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z_95 / (1 + z2 / count) * sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # Rounding must not leave the observed share itself outside, at 0 and at 1.
    return min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share)


def _bin(p: NDArray[np.float64], hit: NDArray[np.bool_]) -> ReliabilityBin:
    low, high = wilson_interval(int(hit.sum()), len(hit))
    return ReliabilityBin(len(p), float(p.mean()), float(hit.mean()), low, high)
