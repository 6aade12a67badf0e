"""Curves with as many points as a printed figure can show."""

import numpy as np
from numpy.typing import NDArray

POINTS = 200
"""Points of a curve that a summary keeps."""


def thin_curve(*columns: NDArray[np.float64]) -> list[list[float]]:
    """Rows of a curve, at most `POINTS` of them, evenly chosen, the first and the last among them."""
    count = len(columns[0])
    kept = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.intp))
    rows: list[list[float]] = np.stack(columns, 1)[kept].tolist()
    return rows
