"""Colours of pictures, channel by channel: numpy is slow over an axis of three."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", np.uint8, np.float32, np.float64)


def extremes(picture: NDArray[Kind]) -> tuple[NDArray[Kind], NDArray[Kind]]:
    """The least and the largest of an element's colours. picture : shape (rows, columns, 3) -> twice (rows, columns)."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    return least(picture), np.maximum(np.maximum(red, green), blue)


def least(picture: NDArray[Kind]) -> NDArray[Kind]:
    """The least of an element's colours. picture : shape (rows, columns, 3) -> (rows, columns)."""
    red, green, blue = np.moveaxis(picture, 2, 0)
    return np.asarray(np.minimum(np.minimum(red, green), blue))
