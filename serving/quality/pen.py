"""Ink of markers: blue, green and black. Red ink has the colours of blood and is not told from it."""

import numpy as np

from serving.quality.density import Density, is_colourless, least
from serving.quality.parts import Mask, large_parts, morphological_dilate, morphological_open, parts_with
from serving.quality.quality_check import QUALITY_CHECKS, QualityCheck, QualityInputs

_RED_OVER_GREEN = 0.03
"""Haematoxylin takes .65 of red for .70 of green, eosin .07 for .99 (Ruifrok and Johnston, 2001)."""
_FAINT = 0.25
"""Mean density from which a colour is more than the tint of glass."""
_STROKE_UM = 100.0
"""Width from which a dark line is a stroke and not a bubble's rim."""
_SPECK_MM2 = 0.004
_RIM_UM = 8.0
"""Ink thins out to its edge, where it is not recognised any more."""
_CERTAIN_RED_OVER_GREEN, _CERTAIN = 0.3, 0.5
"""Blue and green ink take that much; crowded nuclei of a blue stain take as much red as green."""
_THINNED = 0.1
_OPAQUE = 1.55
"""Black ink takes 1.6 of every colour and more; pigment and dark nuclei take less when averaged."""
_MARK_RIM_UM = 16.0


@QUALITY_CHECKS.register("pen")
class InkCheck(QualityCheck):
    """Ink of markers."""

    method = (
        "ink takes more red than green light, which neither stain does (blue, green), or all colours alike in strokes wider than "
        "0.1 mm (black); red ink is not found"
    )
    rank = 1

    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """See `QualityCheck.find`."""
        return find_ink(inputs.density, inputs.mpp) & ~inputs.fill


def find_ink(density: Density, mpp: float) -> Mask:
    """Where a marker was."""
    red, green, blue = np.moveaxis(density, 2, 0)
    coloured = (red - green > _RED_OVER_GREEN) & (red + green + blue > 3 * _FAINT)
    black = morphological_open(is_colourless(density), _STROKE_UM / 2, mpp)
    return morphological_dilate(large_parts(coloured | black, _SPECK_MM2, mpp), _RIM_UM, mpp)


def find_marks(density: Density, mpp: float) -> Mask:
    """Where a marker certainly was, with the rim to which its ink thins out; density : against the slide's own glass.

    No stained tissue is so: what is found here may be left out before it is known what is tissue.
    """
    red, green, blue = np.moveaxis(density, 2, 0)
    coloured = (red - green > _RED_OVER_GREEN) & (red + green + blue > 3 * _THINNED)
    coloured = parts_with(coloured, (red - green > _CERTAIN_RED_OVER_GREEN) & (red + green + blue > 3 * _CERTAIN))
    black = is_colourless(density) & (least(density) > _OPAQUE)
    if not (coloured.any() or black.any()):
        return coloured
    strokes = morphological_open(black, _STROKE_UM / 2, mpp) if black.any() else black
    return morphological_dilate(large_parts(coloured | strokes, _SPECK_MM2, mpp), max(_MARK_RIM_UM, 2 * mpp), mpp)
