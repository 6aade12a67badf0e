"""How much of any rectangle or disc of a slide is marked in a low-resolution mask."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.quality.parts import Box, find_bounding_box


@dataclass(frozen=True, slots=True)
class Area:
    """What a mask marks of a slide.

    mask : bool, shape (rows, columns); element [i, j] covers `step_x` x `step_y` level-0 px
    """

    mask: NDArray[np.bool_]
    step_x: float
    step_y: float
    _sums: NDArray[np.int32] = field(init=False, repr=False, compare=False)
    """[i, j]: marked elements of the box's first i rows and j columns; whole numbers, of which a large slide has millions."""
    _box: Box = field(init=False, repr=False, compare=False)
    """Outside it nothing is marked."""

    def __post_init__(self) -> None:
        box = find_bounding_box(self.mask, 0)
        marked = self.mask[box]
        sums = np.zeros((marked.shape[0] + 1, marked.shape[1] + 1), np.int32)
        inner = sums[1:, 1:]
        np.cumsum(marked, 0, dtype=np.int32, out=inner)
        np.cumsum(inner, 1, out=inner)
        object.__setattr__(self, "_sums", sums)
        object.__setattr__(self, "_box", box)

    @property
    def total(self) -> float:
        """Marked level-0 px of the whole slide."""
        return float(self._sums[-1, -1]) * self.step_x * self.step_y

    def rectangle(self, x: float, y: float, width: float, height: float) -> float:
        """Marked level-0 px in a rectangle; nothing is marked outside the slide."""
        sums = self._sums_at(np.asarray([x, x + width]), np.asarray([y, y + height]))
        return float(sums[1, 1] - sums[0, 1] - sums[1, 0] + sums[0, 0])

    def disc(self, x: float, y: float, radius: float) -> float:
        """Marked level-0 px in the disc whose bounding box starts at (x, y), to a mask element at its rim."""
        rows, columns = self.mask.shape
        top, left = max(int(y / self.step_y), 0), max(int(x / self.step_x), 0)
        bottom = min(int((y + 2 * radius) / self.step_y) + 1, rows)
        right = min(int((x + 2 * radius) / self.step_x) + 1, columns)
        down = (np.arange(top, bottom) + 0.5) * self.step_y - y - radius
        across = (np.arange(left, right) + 0.5) * self.step_x - x - radius
        inside = down[:, None] ** 2 + across[None] ** 2 <= radius**2
        return float((self.mask[top:bottom, left:right] & inside).sum()) * self.step_x * self.step_y

    def shares(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Marked share of each field of a grid with lines at x (C + 1) and y (R + 1), level-0 px: shape (R, C)."""
        marked = np.diff(np.diff(self._sums_at(x, y), axis=0), axis=1)
        return np.asarray(marked / (np.diff(y)[:, None] * np.diff(x)[None]))

    def _sums_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Marked level-0 px left of and above each of x and y: exact, since sums are straight between mask elements."""
        down, across = self._box
        rows = _between(self._sums, y / self.step_y - down.start)
        return _between(rows.T, x / self.step_x - across.start).T * (self.step_x * self.step_y)


def _between(values: NDArray[np.int32] | NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of `values` at fractional positions, level beyond both ends."""
    at = at.clip(0, len(values) - 1)
    low = np.minimum(at.astype(np.intp), len(values) - 2)
    share = (at - low)[:, None]
    return np.asarray(values[low] * (1 - share) + values[low + 1] * share)
