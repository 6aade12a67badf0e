"""The colours of the two stains of a slide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
