"""Windows turned and mirrored: what a model says of a figure must not depend on how the glass lay under the scanner."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

_LEAST = 1e-7
"""Of a probability and of what it lacks to 1: float32 has nothing between 1 - 6e-8 and 1."""


def turn_and_mirror(windows: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Eight views, the symmetries of the square, first the windows as they are. windows : uint8, shape (N, side, side, 3)."""
    for view in (windows, windows.transpose(0, 2, 1, 3)):
        for axes in ((), (1,), (2,), (1, 2)):
            yield np.ascontiguousarray(np.flip(view, axes))


def average_views(
    windows: NDArray[np.uint8], judge: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The probability whose logit is the mean of the views' logits, float32, shape (N,).

    judge : gives of windows, uint8, shape (N, side, side, 3), a probability each
    """
    total, views = np.zeros(len(windows)), 0
    for view in turn_and_mirror(windows):
        said = np.clip(judge(view).astype(np.float64), _LEAST, 1 - _LEAST)
        total, views = total + logit(said), views + 1
    return np.asarray(expit(total / views), np.float32)
