"""Colours and optical density: how much light a slide takes from each colour. Layers on each other add up (Beer and Lambert)."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from serving.quality.parts import Box, Mask

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


Kind = TypeVar("Kind", np.uint8, np.float32, np.float64)


def extremes(picture: NDArray[Kind]) -> tuple[NDArray[Kind], NDArray[Kind]]:
    """The least and the largest of an element's colours. picture : shape (rows, columns, 3) -> twice (rows, columns)."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    return least(picture), np.maximum(np.maximum(red, green), blue)


def least(picture: NDArray[Kind]) -> NDArray[Kind]:
    """The least of an element's colours. picture : shape (rows, columns, 3) -> (rows, columns)."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    return np.asarray(np.minimum(np.minimum(red, green), blue))


_DARK = 0.9
"""Least density in every colour: stained tissue lets most of the red pass."""
_SPREAD = 0.3
"""The colours' densities differ by at most this share of the largest. Haematoxylin takes half as much blue as green
(Ruifrok and Johnston, 2001)."""


def is_colourless(density: Density) -> Mask:
    """Dark elements in which red, green and blue are taken alike."""
    least, most = extremes(density)
    return np.asarray((least > _DARK) & (most - least < _SPREAD * most), np.bool_)
