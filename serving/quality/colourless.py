"""What is dark and without colour: black ink, and the rims of air bubbles, where light is bent out of its way."""

import numpy as np

from serving.quality.channels import extremes
from serving.quality.density import Density
from serving.quality.parts import Mask

_DARK = 0.9
"""Least density in every colour: stained tissue lets most of the red pass."""
_SPREAD = 0.3
"""The colours' densities differ by at most this share of the largest. Haematoxylin takes half as much blue as green
(Ruifrok and Johnston, 2001)."""


def is_colourless(density: Density) -> Mask:
    """Dark elements in which red, green and blue are taken alike."""
    least, most = extremes(density)
    return np.asarray((least > _DARK) & (most - least < _SPREAD * most), np.bool_)
