"""Frames and regions. Public geometry is level-0 pixels, (x, y), (width, height), half-open.

Two frames exist. *Level-0* pixels are the slide's own. *Work* pixels are those the models see: equal to level-0 when
the slide's resolution is within `NATIVE_SHARE` of the model's, else resampled to the model's mpp. All conversions and
their rounding are in this file.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import RequestError, ResolutionError

MPP_RANGE = (0.1, 1.0)
"""Microns per pixel that can be resampled to what models see; outside it a slide is refused."""
NATIVE_SHARE = 0.12
"""So much finer or coarser than its training, a model sees the slide's own pixels: this is inside training augmentation. Of
0.25 um/px it is 0.22 to 0.28."""
COARSE_RATIO = 1.4
"""Slides coarser than so many times the model's resolution, 0.35 of 0.25 um/px, lack the detail that separates figures from
look-alikes; the report carries a warning."""


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open rectangle [x, x + width) x [y, y + height) in level-0 px unless the name says otherwise."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    @property
    def right(self) -> int:
        """First column behind the region."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the region."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Area in px; zero for empty regions."""
        return max(self.width, 0) * max(self.height, 0)

    def intersection(self, other: "Region") -> "Region":
        """The common part; width or height is zero where there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Region(x, y, max(min(self.right, other.right) - x, 0), max(min(self.bottom, other.bottom) - y, 0))


@dataclass(frozen=True, slots=True)
class Roi:
    """A polygon in level-0 px that limits an analysis; a rectangle is a polygon of four points."""

    points: tuple[tuple[float, float], ...]

    @property
    def edges(self) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
        """Both ends of each side, the last one closing the polygon."""
        return zip(self.points, (*self.points[1:], self.points[0]), strict=True)

    @property
    def bounds(self) -> Region:
        """Smallest integer region that holds the polygon."""
        xs, ys = zip(*self.points, strict=True)
        x, y = math.floor(min(xs)), math.floor(min(ys))
        return Region(x, y, math.ceil(max(xs)) - x, math.ceil(max(ys)) - y)

    def contains(self, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Even-odd test. xy : float64, shape (N, 2), level-0 px -> bool, shape (N,)."""
        inside = np.zeros(len(xy), np.bool_)
        x, y = xy[:, 0], xy[:, 1]
        for (x1, y1), (x2, y2) in self.edges:
            crosses = np.flatnonzero((y1 > y) != (y2 > y))
            inside[crosses] ^= x[crosses] < x1 + (x2 - x1) * ((y[crosses] - y1) / (y2 - y1))
        return inside

    def touches(self, region: Region) -> bool:
        """Whether the polygon and the inside of `region` have a part in common, however small."""
        low, high = np.asarray([region.x, region.y]), np.asarray([region.right, region.bottom])
        start, end = np.asarray(list(self.edges)).transpose(1, 0, 2)
        # Each side as start + t * (end - start): it is within both borders of an axis between two values of t.
        with np.errstate(divide="ignore", invalid="ignore"):
            borders = np.sort([(low - start) / (end - start), (high - start) / (end - start)], axis=0)
        enters, leaves = np.maximum(borders[0].max(1), 0), np.minimum(borders[1].min(1), 1)
        if (enters < leaves).any():
            return True
        # No side passes through: the region is wholly inside or wholly outside, and so is its centre.
        return bool(region.area) and bool(self.contains((low + high)[None] / 2)[0])


def parse_roi(text: str) -> Roi:
    """The region of interest that `text` states: `x,y,width,height`, or a JSON list of at least three [x, y] points.

    Raises
    ------
    RequestError
        If the text is neither, or a number is not finite, or the area is zero.
    """
    try:
        if text.lstrip().startswith("["):
            points = _polygon(json.loads(text))
        else:
            points = _rectangle([float(part) for part in text.split(",")])
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"`roi` {text[:80]!r} does not parse: {_ROI_HELP}") from error
    if not all(math.isfinite(v) for p in points for v in p):
        raise RequestError(f"`roi` holds a number that is not finite: {_ROI_HELP}")
    if abs(_shoelace(points)) == 0:
        raise RequestError(f"`roi` has no area: {_ROI_HELP}")
    return Roi(points)


_ROI_HELP = "give x,y,width,height in level-0 px, or a JSON list of at least three [x, y] points"


def _rectangle(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    if len(values) != 4 or values[2] <= 0 or values[3] <= 0:
        raise RequestError(f"`roi` needs four numbers with positive width and height: {_ROI_HELP}")
    x, y, w, h = values
    return ((x, y), (x + w, y), (x + w, y + h), (x, y + h))


def _polygon(values: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(values, list) or not all(_is_point(value) for value in values):
        raise RequestError(f"`roi` is not a list of [x, y] points: {_ROI_HELP}")
    if len(values) < 3:
        raise RequestError(f"`roi` has fewer than three points: {_ROI_HELP}")
    return tuple((float(x), float(y)) for x, y in values)


def _is_point(value: object) -> bool:
    # `type` and not `isinstance`: JSON's true is an int to Python.
    return isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)


def _shoelace(points: Sequence[tuple[float, float]]) -> float:
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs) / 2


@dataclass(frozen=True, slots=True)
class WorkFrame:
    """The models' pixel frame on one slide: `scale` level-0 px per work px."""

    mpp: float
    """Microns per level-0 px."""
    scale: float

    @classmethod
    def from_mpp(cls, mpp: float, model_mpp: float) -> "WorkFrame":
        """The frame for a slide of `mpp` and models trained at `model_mpp` (both um/px).

        Raises
        ------
        ResolutionError
            If `mpp` lies outside `MPP_RANGE`.
        """
        if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
            raise ResolutionError(
                f"the slide has {mpp:g} um/px; models need a slide between {MPP_RANGE[0]} and {MPP_RANGE[1]} um/px. "
                "Scan it again, or give `mpp` if the file states a wrong one."
            )
        native = abs(mpp / model_mpp - 1) <= NATIVE_SHARE + 1e-9
        return cls(mpp, 1.0 if native else model_mpp / mpp)

    @property
    def work_mpp(self) -> float:
        """Microns per work px."""
        return self.mpp * self.scale

    def size_to_work(self, width: int, height: int) -> tuple[int, int]:
        """Slide size in work px, rounded up so that every level-0 px is covered."""
        return math.ceil(width / self.scale - 1e-9), math.ceil(height / self.scale - 1e-9)

    def region_to_level0(self, work: Region) -> Region:
        """Level-0 region of a work region; edges are rounded to the nearest px, each edge alone, so seams agree."""
        x, y = round(work.x * self.scale), round(work.y * self.scale)
        return Region(x, y, round(work.right * self.scale) - x, round(work.bottom * self.scale) - y)

    def boxes_to_level0(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert boxes, float32, shape (N, 4), xyxy, from work px to level-0 px, not rounded."""
        return (boxes * np.float32(self.scale)).astype(np.float32)

    def area_mm2(self, level0_px: float) -> float:
        """Area in mm2 of so many level-0 px."""
        return level0_px * (self.mpp / 1000) ** 2
