"""What of an analysis is kept to be compared: its scores, and its colours as the stored overview shows them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from serving.comparison.distributions import SCORE_EDGES, compute_shares
from serving.core.modelinput import Colour
from serving.quality.density import SEEN_MPP, measure_density
from serving.quality.parts import find_bounding_box
from serving.scoring.analysis import Analysis
from serving.scoring.quality_masking import exclude_masked_tissue

DENSITY_EDGES: NDArray[np.float64] = np.concatenate([np.linspace(0.0, 2.0, 41), [np.inf]])
_DECIMALS = 6


class SlideStatistics(BaseModel):
    """Of one slide."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: list[float]
    """Shares of sub-tiles in the bins of `SCORE_EDGES`."""
    mean_score: float
    density: list[float]
    """Shares of tissue in the bins of `DENSITY_EDGES`."""
    mean_density: float
    haematoxylin: Colour | None
    eosin: Colour | None


def collect_statistics(analysis: Analysis) -> SlideStatistics | None:
    """The statistics of an analysis; None where nothing was scored, and of a fast one: its scores are those of chosen sub-tiles.

    What quality control masks is left out of the colours.
    """
    if analysis.mitosis_map.triage is not None:
        return None
    scores = analysis.mitosis_map.scores
    known = scores[np.isfinite(scores)]
    if not len(known):
        return None
    mask = exclude_masked_tissue(analysis.find_tissue(), analysis.quality, "exclude")
    held, (rows, columns) = mask.tissue & mask.analysed, mask.tissue.shape
    box = find_bounding_box(held, int(SEEN_MPP / mask.mpp) + 1)
    density = measure_density(analysis.overview.pixels, (rows, columns), mask.mpp, box)[held[box]]
    if not len(density):
        return None
    mean, stains = density.mean(1), estimate_stains(density)
    return SlideStatistics(
        scores=_round(compute_shares(scores, SCORE_EDGES)),
        mean_score=round(float(known.mean()), _DECIMALS),
        density=_round(compute_shares(mean, DENSITY_EDGES)),
        mean_density=round(float(mean.mean()), _DECIMALS),
        haematoxylin=None if stains is None else _colour(stains.haematoxylin),
        eosin=None if stains is None else _colour(stains.eosin),
    )


def _round(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _colour(direction: NDArray[np.float64]) -> Colour:
    red, green, blue = _round(direction)
    return red, green, blue


FAINT = 0.15
"""Optical density below which a pixel says little of its stain (beta of Macenko et al.)."""
PERCENTILE = 1.0
"""The outermost pixels are chance (alpha of Macenko et al.)."""
MIN_PX = 200
"""Pixels of stained tissue; a hundredth of fewer is one or two."""


@dataclass(frozen=True, slots=True)
class Stains:
    """haematoxylin, eosin : float64, shape (3,), optical density of red, green and blue, of length 1."""

    haematoxylin: NDArray[np.float64]
    eosin: NDArray[np.float64]


def estimate_stains(density: NDArray[np.floating]) -> Stains | None:
    """The directions of both stains: the extreme angles in the plane that holds most of the optical density.

    Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009. Haematoxylin is that which
    takes more red.

    density : float, shape (N, 3), natural logarithm, of tissue. None where too little of it is stained
    """
    stained = density[(density > FAINT).all(1)].astype(np.float64)
    if len(stained) < MIN_PX:
        return None
    _, axes = np.linalg.eigh(np.cov(stained.T))
    plane = axes[:, :0:-1]  # the two largest, as columns
    plane = plane * np.where(plane.sum(0) < 0, -1.0, 1.0)
    flat = stained @ plane
    low, high = np.percentile(np.arctan2(flat[:, 1], flat[:, 0]), [PERCENTILE, 100 - PERCENTILE])
    first, second = (plane @ np.asarray([np.cos(angle), np.sin(angle)]) for angle in (low, high))
    return Stains(first, second) if first[0] > second[0] else Stains(second, first)


def angle_between(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Degrees between two directions of length 1."""
    return float(np.degrees(np.arccos(np.clip(first @ second, -1.0, 1.0))))
