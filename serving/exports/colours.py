"""The colours of scores, and how far they cover the tissue."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Nine samples of matplotlib's "inferno" (van der Walt and Smith, CC0): even in lightness, safe for colour-blind eyes.
_ANCHORS = np.asarray(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    np.float32,
)

_CLEAR, _FULL, _MOST = 0.05, 0.5, 0.6
"""Scores up to the first leave the tissue clear, from the second on colours cover it as far as the third says."""


def colour_map(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """RGB 0..255 of values in 0..1: shape (...) -> float32, shape (..., 3)."""
    at = np.clip(values, 0, 1) * (len(_ANCHORS) - 1)
    positions = np.arange(len(_ANCHORS))
    return np.stack([np.interp(at, positions, _ANCHORS[:, c]) for c in range(3)], -1).astype(np.float32)


def opacity(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """How far colours of values in 0..1 cover what is below them, 0..1, float32."""
    return np.asarray(np.clip((values - _CLEAR) / (_FULL - _CLEAR), 0, 1) * _MOST, np.float32)


def legend_bar(width: int, height: int) -> Image.Image:
    """The scale from 1 at the top to 0 at the bottom, as it looks on white."""
    values = np.linspace(1, 0, height)
    alpha = opacity(values)[:, None]
    column = (255 * (1 - alpha) + colour_map(values) * alpha)[:, None].repeat(width, 1)
    return Image.fromarray(column.astype(np.uint8))
