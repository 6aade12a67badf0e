"""Where tissue is, at low resolution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from serving.core.geometry import Region, Roi
from serving.quality.density import measure_density
from serving.quality.glass import Glass, find_fill, find_glass
from serving.quality.parts import find_bounding_box
from serving.quality.pen import find_marks
from serving.slides.slide import Slide

MASK_MPP = 8.0
"""Microns per mask px: a nucleus a pixel, which is what a tissue outline needs."""
MIN_MASK_SIDE_PX = 256
"""Small fields are masked more finely, since 8 um/px would leave a handful of pixels."""
OVERVIEW_SIDE_PX = 1200
"""Longer side of the picture that people see, where the slide has so many."""
METHOD = (
    "takes more light, in one colour at least, than the slide's own glass by 6 times its noise, held within a density of 0.08 to "
    "0.14; ink counts as what lies beside it, black fill as none; specks below 0.005 mm2 removed, holes below 0.02 mm2 filled"
)
_DENSITY, _NOISES = (0.08, 0.14), 6
"""Natural logarithm: .08 is 8 % of the light. Less is dust and the edge of the coverslip; pale sections take .15 and more."""
_SPECK_MM2, _HOLE_MM2 = 0.005, 0.02
_BAND = 128
"""Rows."""
_CROSSINGS = 2**21
"""Of rows and sides, looked at at once."""


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

    def average(self, region: Region, measure: Callable[[tuple[slice, slice]], NDArray[np.floating]]) -> float:
        """The mean of what is measured, 0 where there is no tissue, in the part of `region` (level-0 px) that lies in the slide.

        measure : from rows and columns of the mask to a value for each element
        """
        cells = self._cells(region)
        tissue = self.tissue[cells]
        return float((measure(cells) * tissue).sum() / tissue.size) if tissue.size else 0.0

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
    # One pass over the slide serves both: without a pyramid a thumbnail decodes every pixel.
    overview = slide.thumbnail(overview_side(slide.width, slide.height, mpp))
    return tissue_in(overview, slide.width, slide.height, mpp, roi)


def tissue_in(overview: NDArray[np.uint8], width: int, height: int, mpp: float, roi: Roi | None) -> TissueMask:
    """The tissue of a slide of `width` x `height` level-0 px, from its overview alone."""
    side = _mask_side(width, height, mpp)
    coarse = _within(overview, side)
    step_x, step_y = width / coarse.shape[1], height / coarse.shape[0]
    mask_mpp = mpp * (step_x + step_y) / 2
    tissue = segment_tissue(coarse, mask_mpp)
    return TissueMask(tissue, _find_analysed(roi, tissue.shape, step_x, step_y), overview, step_x, step_y, mask_mpp)


def overview_side(width: int, height: int, mpp: float) -> int:
    """Longer side, px, of the picture in which the tissue of a slide of `width` x `height` level-0 px is found."""
    return max(_mask_side(width, height, mpp), OVERVIEW_SIDE_PX)


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


def segment_tissue(overview: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Tissue pixels of a picture of `mpp` um/px. overview : uint8, shape (h, w, 3) -> bool, shape (h, w)."""
    black, white = find_fill(overview, mpp)
    glass = find_glass(overview, ~(black | white))
    threshold = float(np.clip(_NOISES * glass.noise, *_DENSITY))
    # In bands: the overview of a large slide has ten million pixels.
    bands = [overview[top : top + _BAND] for top in range(0, len(overview), _BAND)]
    found = np.concatenate([glass.density(band) > threshold for band in bands])
    # The glass around has neither marks, specks nor holes, and reaches the box's edge as it does the picture's.
    box = find_bounding_box(found, 1)
    part = found[box] & ~black[box]
    part = _as_beside(part, _unknown(overview[box], black[box], glass, mpp)) & ~black[box]
    pixel_mm2 = (mpp / 1000) ** 2
    clean = _without_small(part, _SPECK_MM2 / pixel_mm2)
    tissue = np.zeros(found.shape, np.bool_)
    tissue[box] = ~_without_small(~clean, _HOLE_MM2 / pixel_mm2) & ~black[box]
    return tissue


def _unknown(picture: NDArray[np.uint8], black: NDArray[np.bool_], glass: Glass, mpp: float) -> NDArray[np.bool_]:
    """Where a picture does not show whether there is tissue: under ink, and at the edge of black fill, which blends."""
    shape = (picture.shape[0], picture.shape[1])
    against = np.log((glass.light + 1) / 256)
    marks = find_marks(measure_density(picture, shape, mpp) + against.astype(np.float32), mpp)
    return marks | (ndimage.binary_dilation(black, iterations=2) & ~black) if black.any() else marks


def _as_beside(found: NDArray[np.bool_], unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask, each unknown element being what the nearest known one is."""
    if not unknown.any() or unknown.all():
        return found & ~unknown
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
    return np.asarray(found[tuple(nearest)], np.bool_)


def _without_small(mask: NDArray[np.bool_], min_px: float) -> NDArray[np.bool_]:
    """The mask without connected parts of fewer than `min_px` pixels that do not reach the picture's edge."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= min_px
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = True
    keep[0] = False
    return np.asarray(keep[labels], np.bool_)


def _find_analysed(roi: Roi | None, shape: tuple[int, int], step_x: float, step_y: float) -> NDArray[np.bool_]:
    """Mask elements whose centre lies in the roi."""
    if roi is None:
        return np.broadcast_to(np.True_, shape)  # one element, however large the slide is
    return rasterise(np.asarray(list(roi.edges)), shape, step_x, step_y)


def rasterise(edges: NDArray[np.float64], shape: tuple[int, int], step_x: float, step_y: float) -> NDArray[np.bool_]:
    """Mask elements whose centre lies inside by the even-odd rule, so that their area is that of the outline but for chance.

    Parameters
    ----------
    edges
        Both ends (x, y) of each side, float64, shape (N, 2, 2), level-0 px.
    shape
        (rows, columns) of the mask; an element covers `step_x` x `step_y` level-0 px.

    Returns
    -------
    bool, of that shape
    """
    rows, columns = shape
    y = (np.arange(rows) + 0.5) * step_y
    # A side crosses the rows from its upper end on and before its lower one.
    first, end = (np.searchsorted(y, bound(edges[:, 0, 1], edges[:, 1, 1])) for bound in (np.minimum, np.maximum))
    crossings = np.zeros(rows * (columns + 1), np.uint8)  # where it overflows, odd stays odd
    # Many sides may each cross all rows: so many at a time as memory has room for.
    reached = np.cumsum(end - first)
    ends = np.searchsorted(reached, np.arange(_CROSSINGS, reached[-1:].sum(), _CROSSINGS))
    for part in np.split(np.arange(len(edges)), ends):
        counts = (end - first)[part]
        side = np.repeat(part, counts)
        row = np.arange(len(side)) + np.repeat(first[part] - np.cumsum(counts) + counts, counts)
        (x1, y1), (x2, y2) = edges[side, 0].T, edges[side, 1].T
        at = x1 + (x2 - x1) * ((y[row] - y1) / (y2 - y1))
        # The first column whose centre is not left of the side.
        column = np.clip(np.ceil(at / step_x - 0.5), 0, columns).astype(np.intp)
        np.add.at(crossings, row * (columns + 1) + column, np.uint8(1))
    odd = (crossings & 1).reshape(rows, columns + 1).view(np.bool_)
    return np.asarray(np.logical_xor.accumulate(odd, axis=1)[:, :columns], np.bool_)
