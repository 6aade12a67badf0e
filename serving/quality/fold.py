"""Folds, where tissue lies on tissue: two layers take twice the light of one.

Bautista and Yagi (2009) and Kothari, Phan and Wang (2013) find folds as saturated and dark; the second grow them from a strict
threshold to a loose one. Density says the same and tells folds from crowded nuclei and keratin, which take more of one
colour than of another: a second layer takes more of all alike.
"""

import numpy as np

from serving.quality.density import Density, average_density, extremes
from serving.quality.parts import Mask, large_parts, parts_with
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityInputs

_CERTAIN, _POSSIBLE = 1.8, 1.5
_ALIKE = 1.35
"""Of the colours' ratios the largest is at most so many times the smallest: two layers have the stains of one."""
_OVER_UM = 24.0
"""A fold is wider than it; single dark nuclei are not."""
_LEAST_MM2 = 0.006
_LEAST_TISSUE = 64
"""Elements of tissue below which there is no median to compare with."""


@QUALITY_CHECKS.register("fold")
class FoldCheck(QualityCheck):
    """Folded tissue."""

    method = (
        "1.8 times the density of the slide's median tissue in every colour, alike to a factor of 1.35, with what adjoins from 1.5 "
        "times on"
    )
    rank = 3

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        return find_folds(inputs.density, inputs.tissue & ~masked, inputs.mpp)


def find_folds(density: Density, tissue: Mask, mpp: float) -> Mask:
    """Folded tissue. tissue : what is compared, without ink and bubbles."""
    if tissue.sum() < _LEAST_TISSUE:
        return np.zeros_like(tissue)
    usual = np.median(density[tissue], axis=0)
    ratios = average_density(density, _OVER_UM, mpp) / np.maximum(usual, 1e-3)
    layers, most = extremes(ratios)
    possible = tissue & (layers > _POSSIBLE) & (most < _ALIKE * layers)
    grown = parts_with(possible, layers > _CERTAIN)
    return large_parts(grown, _LEAST_MM2, mpp)
