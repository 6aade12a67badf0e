"""Where tissue is, at low resolution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from serving.quality.channels import extremes
from serving.quality.parts import box_of
from serving.wsi.geometry import Region, Roi
from serving.wsi.slide import Slide

MASK_MPP = 8.0
"""Microns per mask px: a nucleus a pixel, which is what a tissue outline needs."""
MIN_MASK_SIDE_PX = 256
"""Small fields are masked more finely, since 8 um/px would leave a handful of pixels."""
OVERVIEW_SIDE_PX = 1200
"""Longer side of the picture that people see, where the slide has so many."""
METHOD = (
    "saturation above Otsu's threshold held within 0.05 to 0.15, or darker than 0.55; specks below 0.005 mm2 removed, "
    "holes below 0.02 mm2 filled"
)
_SATURATION = (0.05, 0.15)
"""Otsu alone calls noise on empty glass tissue, and half of a slide that is all tissue background."""
_DARK = 0.55 * 255
_SPECK_MM2, _HOLE_MM2 = 0.005, 0.02
_LEVELS = 256
_BAND = 128
"""Rows."""


@dataclass(frozen=True, slots=True)
class TissueMask:
    """tissue, analysed : bool, shape (rows, columns); element [i, j] covers `step_x` x `step_y` level-0 px.

    `analysed` is true where the element's centre lies in the roi. `overview` is the whole slide, at least
    as fine.
    """

    tissue: NDArray[np.bool_]
    analysed: NDArray[np.bool_]
    overview: NDArray[np.uint8]
    step_x: float
    step_y: float
    mpp: float
    """Microns per mask px."""

    def fraction(self, region: Region) -> float:
        """Share of tissue in the part of `region` (level-0 px) that lies in the slide."""
        cells = self.tissue[self._cells(region)]
        return np.count_nonzero(cells) / cells.size if cells.size else 0.0

    @property
    def area_px(self) -> float:
        """Analysed tissue in level-0 px."""
        return float((self.tissue & self.analysed).sum()) * self.step_x * self.step_y

    def _cells(self, region: Region) -> tuple[slice, slice]:
        rows, columns = self.tissue.shape
        top, left = max(int(region.y / self.step_y), 0), max(int(region.x / self.step_x), 0)
        bottom, right = (int(np.ceil(v)) for v in (region.bottom / self.step_y, region.right / self.step_x))
        return slice(top, min(max(bottom, top + 1), rows)), slice(left, min(max(right, left + 1), columns))


def find_tissue(slide: Slide, mpp: float, roi: Roi | None) -> TissueMask:
    """The tissue of a slide of `mpp` um per level-0 px; only the roi, if there is one, is to be analysed."""
    side = _mask_side(slide.width, slide.height, mpp)
    # One pass over the slide serves both: without a pyramid a thumbnail decodes every pixel.
    overview = slide.thumbnail(max(side, OVERVIEW_SIDE_PX))
    return tissue_in(overview, slide.width, slide.height, mpp, roi)


def tissue_in(overview: NDArray[np.uint8], width: int, height: int, mpp: float, roi: Roi | None) -> TissueMask:
    """The tissue of a slide of `width` x `height` level-0 px, from its overview alone."""
    side = _mask_side(width, height, mpp)
    coarse = _within(overview, side)
    step_x, step_y = width / coarse.shape[1], height / coarse.shape[0]
    mask_mpp = mpp * (step_x + step_y) / 2
    tissue = tissue_of(coarse, mask_mpp)
    return TissueMask(tissue, _rasterised(roi, tissue.shape, step_x, step_y), overview, step_x, step_y, mask_mpp)


def _mask_side(width: int, height: int, mpp: float) -> int:
    longer = max(width, height)
    return min(max(round(longer * mpp / MASK_MPP), MIN_MASK_SIDE_PX), longer)


def _within(overview: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The overview with no side longer than `side`; itself where it is small enough, since Pillow would copy it twice."""
    if max(overview.shape) <= side:
        return overview
    coarse = Image.fromarray(overview)
    coarse.thumbnail((side, side), Image.Resampling.BOX)
    return np.asarray(coarse)


def tissue_of(overview: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Tissue pixels of a picture of `mpp` um/px. overview : uint8, shape (h, w, 3) -> bool, shape (h, w)."""
    # In bands: the overview of a large slide has ten million pixels.
    bands = [overview[top : top + _BAND] for top in range(0, len(overview), _BAND)]
    counts = sum(np.histogram(_saturation(band), _LEVELS, (0.0, 1.0))[0] for band in bands)
    threshold = float(np.clip(_otsu(np.asarray(counts)), *_SATURATION))
    found = np.concatenate([(_saturation(band) > threshold) | _dark(band) for band in bands])
    pixel_mm2 = (mpp / 1000) ** 2
    # The glass around has neither specks nor holes, and reaches the box's edge as it does the picture's.
    box = box_of(found, 1)
    clean = _without_small(found[box], _SPECK_MM2 / pixel_mm2)
    tissue = np.zeros(found.shape, np.bool_)
    tissue[box] = ~_without_small(~clean, _HOLE_MM2 / pixel_mm2)
    return tissue


def _saturation(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    low, high = extremes(picture)
    return np.asarray(np.divide(high - low, np.maximum(high, 1), dtype=np.float32))


def _dark(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(np.add.reduce(picture, 2, dtype=np.uint16) < 3 * _DARK, np.bool_)


def _otsu(counts: NDArray[np.intp]) -> float:
    """The cut of values in 0..1 that separates two classes best (Otsu, 1979). counts : of `_LEVELS` equal parts of 0..1"""
    centres = (np.arange(_LEVELS) + 0.5) / _LEVELS
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    weighted = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (weighted / below - (weighted[-1] - weighted) / above) ** 2
    return float(centres[int(np.nanargmax(np.nan_to_num(between)))])


def _without_small(mask: NDArray[np.bool_], min_px: float) -> NDArray[np.bool_]:
    """The mask without connected parts of fewer than `min_px` pixels that do not reach the picture's edge."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= min_px
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = True
    keep[0] = False
    return np.asarray(keep[labels], np.bool_)


def _rasterised(roi: Roi | None, shape: tuple[int, int], step_x: float, step_y: float) -> NDArray[np.bool_]:
    """Mask pixels whose centre lies in the roi, so that their area is the roi's but for chance."""
    if roi is None:
        return np.broadcast_to(np.True_, shape)  # one element, however large the slide is
    rows, columns = shape
    y = (np.arange(rows) + 0.5) * step_y
    crossings = np.zeros((rows, columns + 1), np.bool_)
    for (x1, y1), (x2, y2) in roi.edges:
        row = np.flatnonzero((y1 > y) != (y2 > y))
        at = x1 + (x2 - x1) * ((y[row] - y1) / (y2 - y1))
        # The first column whose centre is not left of the side.
        column = np.clip(np.ceil(at / step_x - 0.5), 0, columns).astype(np.intp)
        crossings[row, column] ^= True
    return np.asarray(np.logical_xor.accumulate(crossings, axis=1)[:, :columns], np.bool_)
