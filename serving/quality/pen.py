"""Ink of markers: blue, green and black. Red ink has the colours of blood and is not told from it."""

import numpy as np

from serving.quality.colourless import is_colourless
from serving.quality.density import Density
from serving.quality.parts import Mask, dilated, large_parts, opened

METHOD = (
    "ink takes more red than green light, which neither stain does (blue, green), or all colours alike in strokes wider than "
    "0.1 mm (black); red ink is not found"
)
_RED_OVER_GREEN = 0.03
"""Haematoxylin takes .65 of red for .70 of green, eosin .07 for .99 (Ruifrok and Johnston, 2001)."""
_FAINT = 0.25
"""Mean density from which a colour is more than the tint of glass."""
_STROKE_UM = 100.0
"""Width from which a dark line is a stroke and not a bubble's rim."""
_SPECK_MM2 = 0.004
_RIM_UM = 8.0
"""Ink thins out to its edge, where it is not recognised any more."""


def find_ink(density: Density, mpp: float) -> Mask:
    """Where a marker was."""
    red, green, blue = np.moveaxis(density, 2, 0)
    coloured = (red - green > _RED_OVER_GREEN) & (red + green + blue > 3 * _FAINT)
    black = opened(is_colourless(density), _STROKE_UM / 2, mpp)
    return dilated(large_parts(coloured | black, _SPECK_MM2, mpp), _RIM_UM, mpp)
