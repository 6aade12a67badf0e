"""The window of fixed area with the most mitotic figures, by exact search."""

import math

import numpy as np
from numpy.typing import NDArray

from serving.report import Hotspot
from serving.wsi.geometry import Region

HOTSPOT_MM2 = 2.0
"""The counting area of current practice (WHO classifications), 4:3 like a field of view on a screen."""


def hotspot_size_px(area_mm2: float, mpp: float) -> tuple[float, float]:
    """(width, height) in level-0 px of a 4:3 window: width sqrt(4A/3), height sqrt(3A/4)."""
    return math.sqrt(4 * area_mm2 / 3) * 1000 / mpp, math.sqrt(3 * area_mm2 / 4) * 1000 / mpp


def find_hotspot(
    centres: NDArray[np.floating], *, within: Region, mpp: float, area_mm2: float = HOTSPOT_MM2
) -> Hotspot | None:
    """The window that holds the most centres, inside the region that was analysed; None without centres.

    Some best window has a point on its left and one on its upper edge, so only those corners are tried. Of equals, the
    uppermost, then the leftmost. The window is then centred on what it holds. In a region smaller than the window, the
    window is cut to the region and its true area reported.

    centres : float, shape (N, 2), (x, y), level-0 px
    """
    if not len(centres):
        return None
    points = np.asarray(centres, np.float64)
    width, height = (
        min(a, float(b)) for a, b in zip(hotspot_size_px(area_mm2, mpp), (within.width, within.height), strict=True)
    )
    inside = _fullest(points, width, height)
    x = _centred(inside[:, 0], width, within.x, within.right)
    y = _centred(inside[:, 1], height, within.y, within.bottom)
    area = width * height * (mpp / 1000) ** 2
    return Hotspot(
        x=round(x, 2),
        y=round(y, 2),
        width=round(width, 2),
        height=round(height, 2),
        area_mm2=round(area, 4),
        mitotic_figures=len(inside),
        per_mm2=round(len(inside) / area, 4),
    )


def _fullest(points: NDArray[np.float64], width: float, height: float) -> NDArray[np.float64]:
    """The points in the fullest window of [x, x + width) x [y, y + height)."""
    points = points[np.argsort(points[:, 0], kind="stable")]
    ends = np.searchsorted(points[:, 0], points[:, 0] + width, side="left")
    best = (0, 0.0, 0.0)
    for start, end in enumerate(ends):
        if end - start < -best[0]:
            continue
        ys = np.sort(points[start:end, 1])
        counts = np.searchsorted(ys, ys + height, side="left") - np.arange(len(ys))
        at = int(np.argmax(counts))
        best = min(best, (-int(counts[at]), float(ys[at]), float(points[start, 0])))
    _, y, x = best
    chosen = (points[:, 0] >= x) & (points[:, 0] < x + width) & (points[:, 1] >= y) & (points[:, 1] < y + height)
    return points[chosen]


def _centred(values: NDArray[np.float64], length: float, low: float, high: float) -> float:
    start = (float(values.min()) + float(values.max()) - length) / 2
    return max(min(start, high - length), low)
