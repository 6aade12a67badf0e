"""What a model says here of the sample that it ships with, against what it said where it was made."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Outputs = Mapping[str, NDArray[np.generic]]
"""Output arrays by name, as in `parity.npz`."""

FAINT = 0.1
"""Boxes that are less likely than this may come and go by rounding."""


def differences(found: Outputs, stated: Outputs, tolerances: Mapping[str, float]) -> dict[str, float]:
    """Largest absolute difference of each output that has a tolerance; infinite where shapes differ or a box has no partner.

    Boxes are compared with the nearest of the same window: two that are equally likely may change places.
    """
    if "boxes" in stated:
        return _box_differences(found, stated)
    return {name: _largest(found[name], stated[name]) for name in stated if name in tolerances}


def _largest(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0.0))


def _box_differences(found: Outputs, stated: Outputs) -> dict[str, float]:
    boxes = probabilities = 0.0
    if len(found["boxes"]) != len(stated["boxes"]):
        return {"boxes": float("inf"), "probabilities": float("inf")}
    for window in range(len(stated["boxes"])):
        sides = [_window(outputs, window) for outputs in (found, stated)]
        for (own, own_p), (other, other_p) in (sides, reversed(sides)):
            for box, probability in zip(own[own_p >= FAINT], own_p[own_p >= FAINT], strict=True):
                away = np.abs(other - box).max(axis=1)
                nearest = int(away.argmin()) if len(away) else -1
                boxes = max(boxes, float(away[nearest]) if len(away) else float("inf"))
                apart = abs(float(other_p[nearest]) - float(probability)) if len(away) else float("inf")
                probabilities = max(probabilities, apart)
    return {"boxes": boxes, "probabilities": probabilities}


def _window(outputs: Outputs, window: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes, float64, shape (N, 4), and probabilities of one window, without the padding."""
    count = int(outputs["counts"][window]) if "counts" in outputs else len(outputs["boxes"][window])
    boxes, probabilities = outputs["boxes"][window, :count], outputs["probabilities"][window, :count]
    return boxes.astype(np.float64), probabilities.astype(np.float64)
