"""The two shapes of a counting area, a 4:3 rectangle and a disc: where they may stand, and what they hold there.

A window's place is the upper left corner of its bounding box, (x, y), level-0 px from the analysed region's corner.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import HotspotShape
from serving.core.geometry import Region

Places = NDArray[np.float64]
"""float64, shape (N, 2), (x, y), level-0 px from the analysed region's corner."""
Bounds = tuple[NDArray[np.bool_], NDArray[np.bool_]]
_RIM = 1 + 1e-9
"""Points on a disc's rim are in it, also after rounding."""


class CountingWindow(Protocol):
    """A shape of fixed size."""

    @property
    def width(self) -> float:
        """Of the bounding box, level-0 px."""

    @property
    def height(self) -> float:
        """Of the bounding box, level-0 px."""

    @property
    def area(self) -> float:
        """In level-0 px."""

    def places(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64], end: Places) -> Places:
        """Places in [low, high) among which is one that holds as many points as any place there.

        low, high : (x, y). end : (2,), the last place that lies in the analysed region
        """

    def holds(self, places: Places, points: Places) -> NDArray[np.bool_]:
        """Which of N points each of M places holds, shape (M, N)."""

    def meets(self, places: Places, other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which places overlap the place `other`, shape (M,)."""

    def bounds(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
        """Which points a place in [low, high) may hold, and which every place there holds, each shape (N,)."""


def make_window(shape: HotspotShape, area_mm2: float, mpp: float, within: Region) -> CountingWindow:
    """The window of an area, cut to a region that is too small for it; a disc stays one."""
    area = area_mm2 * (1000 / mpp) ** 2
    if shape == "disc":
        return Disc(min(math.sqrt(area / math.pi), within.width / 2, within.height / 2))
    width, height = rectangle_sides(area)
    return Rectangle(min(width, float(within.width)), min(height, float(within.height)))


def rectangle_sides(area: float) -> tuple[float, float]:
    """(width, height) of a 4:3 rectangle, like a field of view on a screen: sqrt(4A/3), sqrt(3A/4)."""
    return math.sqrt(4 * area / 3), math.sqrt(3 * area / 4)


@dataclass(frozen=True, slots=True)
class Rectangle:
    """[x, x + width) x [y, y + height)."""

    width: float
    height: float

    @property
    def area(self) -> float:
        """See `CountingWindow`."""
        return self.width * self.height

    def places(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64], end: Places) -> Places:
        """Some best window has a point, or the region's end, on its left and on its upper edge."""
        x, y = (np.unique(np.minimum(points[:, axis], end[axis])) for axis in (0, 1))
        x, y = x[(x >= low[0]) & (x < high[0])], y[(y >= low[1]) & (y < high[1])]
        return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)

    def holds(self, places: Places, points: Places) -> NDArray[np.bool_]:
        """See `CountingWindow`."""
        size = np.asarray([self.width, self.height])
        inside = (points[None] >= places[:, None]) & (points[None] < places[:, None] + size)
        return np.asarray(inside.all(2))

    def meets(self, places: Places, other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `CountingWindow`."""
        return np.asarray((np.abs(places - other) < (self.width, self.height)).all(1))

    def bounds(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
        """See `CountingWindow`."""
        size = np.asarray([self.width, self.height])
        may = (points >= low) & (points < high + size)
        sure = (points >= high) & (points < low + size)
        return np.asarray(may.all(1)), np.asarray(sure.all(1))


@dataclass(frozen=True, slots=True)
class Disc:
    """All within `radius` of the middle."""

    radius: float

    @property
    def width(self) -> float:
        """See `CountingWindow`."""
        return 2 * self.radius

    @property
    def height(self) -> float:
        """See `CountingWindow`."""
        return 2 * self.radius

    @property
    def area(self) -> float:
        """See `CountingWindow`."""
        return math.pi * self.radius**2

    def places(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64], end: Places) -> Places:
        """Discs around points, with two points on the rim, and with one on the rim at the region's border.

        The middles that hold a point are a disc around it. Where most of these discs overlap, the common part has a corner
        in which two rims meet or a rim meets the border, or it is a whole disc.
        """
        middles = points - self.radius
        away = np.hypot(*(middles - (low + high) / 2).T)
        # Rims that cross [low, high).
        near = middles[np.abs(away - self.radius) <= math.hypot(*(high - low)) / 2 * _RIM]
        borders = [_on_line(near, self.radius, axis, at) for axis in (0, 1) for at in (0.0, float(end[axis]))]
        corners = np.asarray([(0, 0), (0, end[1]), (end[0], 0), end])
        found = [middles, corners, _crossings(near, self.radius), *borders]
        places = np.concatenate(found)
        inside = (places >= low).all(1) & (places < high).all(1) & (places >= 0).all(1) & (places <= end).all(1)
        return np.unique(places[inside], axis=0)

    def holds(self, places: Places, points: Places) -> NDArray[np.bool_]:
        """See `CountingWindow`."""
        away = places[:, None] + self.radius - points[None]
        return np.asarray((away**2).sum(2) <= self.radius**2 * _RIM)

    def meets(self, places: Places, other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `CountingWindow`."""
        return np.asarray(np.hypot(*(places - other).T) < 2 * self.radius)

    def bounds(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
        """See `CountingWindow`."""
        before, behind = low + self.radius - points, points - high - self.radius
        nearest = np.maximum(before, behind).clip(0)
        farthest = np.maximum(-before, -behind)
        limit = self.radius**2
        return np.asarray((nearest**2).sum(1) <= limit * _RIM), np.asarray((farthest**2).sum(1) <= limit / _RIM)


def _crossings(middles: Places, radius: float) -> Places:
    """Where circles around any two of the middles meet."""
    first, second = np.triu_indices(len(middles), 1)
    half = (middles[second] - middles[first]) / 2
    squared = (half**2).sum(1)
    meeting = (squared > 0) & (squared <= radius**2)
    half, squared = half[meeting], squared[meeting]
    across = np.stack([-half[:, 1], half[:, 0]], 1) * np.sqrt(radius**2 / squared - 1)[:, None]
    between = middles[first[meeting]] + half
    return np.concatenate([between - across, between + across])


def _on_line(middles: Places, radius: float, axis: int, at: float) -> Places:
    """Where circles around the middles meet the line on which coordinate `axis` is `at`."""
    squared = radius**2 - (at - middles[:, axis]) ** 2
    met, reach = middles[squared >= 0], np.sqrt(squared[squared >= 0])
    found = np.concatenate([met, met])
    found[:, axis] = at
    found[:, 1 - axis] += np.concatenate([-reach, reach])
    return found
