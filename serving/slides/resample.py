"""Cutting and resampling a picture that is in memory, white outside of it."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MARGIN_PX = 4
"""Pixels read around a region before resampling, so that neighbouring reads agree at their seam."""

Pixels = NDArray[np.uint8]


def cut_padded(pixels: Pixels, x: int, y: int, width: int, height: int) -> Pixels:
    """The rectangle at (x, y) of `pixels`, uint8, shape (height, width, 3); white where it reaches outside."""
    left, top = max(x, 0), max(y, 0)
    inside = pixels[top : max(y + height, 0), left : max(x + width, 0)]
    if inside.shape[:2] == (height, width):
        return inside
    result = np.full((height, width, 3), 255, np.uint8)
    result[top - y : top - y + inside.shape[0], left - x : left - x + inside.shape[1]] = inside
    return result


def resize(pixels: Pixels, box: tuple[float, float, float, float], width: int, height: int) -> Pixels:
    """The float rectangle (left, top, right, bottom) of `pixels` at `width` x `height`.

    Bicubic; Pillow widens the kernel when it shrinks, so small results do not alias.
    """
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image)


def frame_around(start: float, length: float, limit: int) -> tuple[int, int]:
    """Whole pixels (first, count) that hold [start, start + length) and the resampling margin.

    The margin ends where the picture does, at 0 and `limit`: white from outside would bleed into its border.
    """
    first, end = math.floor(start), math.ceil(start + length)
    first, end = min(first, max(first - MARGIN_PX, 0)), max(end, min(end + MARGIN_PX, limit))
    return first, end - first
