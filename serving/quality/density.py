"""Optical density: how much light a slide takes from each colour. Layers on top of each other add up (Beer and Lambert)."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from serving.quality.parts import Box

WHOLE: Box = (slice(None), slice(None))
SEEN_MPP = 8.0
"""Microns per px at which ink, bubbles and folds are judged: a nucleus a pixel, so that colours are those of tissue and
not of its parts."""

Density = NDArray[np.float32]
"""float32, shape (rows, columns, 3): -ln of the share of red, green and blue light that passes, averaged over `SEEN_MPP`."""


def measure_density(overview: NDArray[np.uint8], shape: tuple[int, int], mpp: float, box: Box = WHOLE) -> Density:
    """The density of a slide on a grid of `shape` elements of `mpp` um, or of the elements of a box of it.

    overview : uint8, shape (height, width, 3), RGB, at least as fine as the grid
    """
    light = on_grid(overview, shape)[box].astype(np.float32)
    side = round(SEEN_MPP / mpp)
    if side > 1:
        light = ndimage.uniform_filter(light, (side, side, 0), mode="nearest")
    return np.asarray(-np.log((light + 1) / 256), np.float32)


def on_grid(overview: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The overview with a pixel an element; itself where it is so already, as a large slide's is."""
    if overview.shape[:2] == shape:
        return overview
    return np.asarray(Image.fromarray(overview).resize(shape[::-1], Image.Resampling.BOX))


def average_density(density: Density, um: float, mpp: float) -> Density:
    """The density averaged over squares of `um`."""
    return np.asarray(ndimage.uniform_filter(density, (*[max(round(um / mpp), 1)] * 2, 0), mode="nearest"), np.float32)
