"""Air bubbles under the coverslip: round areas with a thin dark colourless rim."""

import numpy as np
from scipy import ndimage

from serving.quality.density import Density, is_colourless
from serving.quality.parts import Mask, morphological_dilate, morphological_erode, morphological_open
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityInputs

_STROKE_UM = 100.0
"""Width from which a dark line is a stroke of ink."""
_GAP_UM = 16.0
"""Gaps in a rim that are closed."""
_LEAST_MM2 = 0.004
_HOLE = 0.1
"""Least share of what a rim encloses in the whole: a blot has no inside."""
_ROUND = 0.9
"""Area in that of the ellipse with the same second moments; 1 for any ellipse, .95 for a square."""
_LONG = 3.0
"""Longer axis in the shorter, at most."""


@QUALITY_CHECKS.register("bubble")
class BubbleCheck(QualityCheck):
    """Air bubbles."""

    method = (
        "closed thin lines that take all colours alike, round as an ellipse, with what they enclose; bubbles that a slide's or "
        "tissue's edge cuts are not found"
    )
    rank = 2

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        return find_bubbles(inputs.density, inputs.mpp) & ~inputs.fill


def find_bubbles(density: Density, mpp: float) -> Mask:
    """Bubbles, with their rims."""
    dark = is_colourless(density)
    thin = dark & ~morphological_dilate(morphological_open(dark, _STROKE_UM / 2, mpp), mpp, mpp)
    rims = morphological_dilate(thin, _GAP_UM / 2, mpp)
    found = np.zeros_like(thin)
    labels, _ = ndimage.label(rims)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        rim = labels[box] == number
        whole = np.asarray(ndimage.binary_fill_holes(rim), np.bool_)
        if _is_bubble(whole, rim, mpp):
            found[box] |= whole
    return morphological_erode(found, _GAP_UM / 2, mpp)


def _is_bubble(whole: Mask, rim: Mask, mpp: float) -> bool:
    area = int(whole.sum())
    if area * (mpp / 1000) ** 2 < _LEAST_MM2 or (area - int(rim.sum())) / area < _HOLE:
        return False
    short, long = np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(whole).T)))
    # An ellipse's area is 4 pi times the product of its spreads along both axes.
    return bool(long <= _LONG * short and area >= _ROUND * 4 * np.pi * short * long)
