"""Where a regions model sees which class of tissue: its probabilities on the elements of a map, and outlines along their edges."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.core.counts import NamedOutline
from serving.core.geometry import Region, WorkFrame
from serving.core.modelcard import ModelCard
from serving.core.outlines import MAX_VERTICES
from serving.core.report import SegmentedRegions
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import Segmenter
from serving.scoring.mask_outlines import RaggedError, trace_boxes
from serving.scoring.plan import SlidePlan
from serving.scoring.reading import read_mirrored
from serving.scoring.report_identity import place_nothing
from serving.scoring.tissue import TissueMask
from serving.slides.slide import Slide

NO_CLASS = -1
"""Of elements at which the model did not look."""
_MOST_SAMPLES = 16
"""Of a side of an element: so many places of the model's map, evenly spaced, make its mean."""
_COARSER = 2


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Classes of tissue on a grid.

    probabilities : float32, shape (classes, rows, columns); element [k, i, j] covers `step_x` x `step_y` level-0 px from
        (j * step_x, i * step_y)
    seen : bool, shape (rows, columns), where the model looked
    """

    probabilities: NDArray[np.float32]
    seen: NDArray[np.bool_]
    step_x: float
    step_y: float

    def choose(self, least_px: float) -> NDArray[np.intp]:
        """The likeliest class of each element, `NO_CLASS` where nobody looked, shape (rows, columns).

        least_px : a connected part of a class that covers fewer level-0 px takes the class of the nearest larger part
        """
        classes = np.where(self.seen, self.probabilities.argmax(0), NO_CLASS)
        least = least_px / (self.step_x * self.step_y)
        small = np.zeros(classes.shape, np.bool_)
        for number in range(len(self.probabilities)):
            parts, _ = ndimage.label(classes == number)
            sizes = np.bincount(parts.ravel())
            sizes[0] = max(sizes.max(initial=0), math.ceil(least))  # what is of other classes is no part
            small |= sizes[parts] < least
        if not small.any() or not (self.seen & ~small).any():
            return classes
        # Elements that nobody saw stay out of it on both sides.
        nearest = ndimage.distance_transform_edt(small | ~self.seen, return_distances=False, return_indices=True)
        return np.where(small, classes[tuple(nearest)], classes)

    def coarsen(self) -> Self:
        """The same with elements twice as wide and high, each the mean of those that somebody looked at."""
        _, rows, columns = self.probabilities.shape
        odd = ((0, 0), (0, rows % _COARSER), (0, columns % _COARSER))
        seen = np.pad(self.seen, odd[1:])
        halves = (-(-rows // _COARSER), _COARSER, -(-columns // _COARSER), _COARSER)
        known = seen.reshape(halves).sum((1, 3))
        sums = np.pad(self.probabilities * self.seen, odd).reshape(-1, *halves).sum((2, 4))
        mean = (sums / np.maximum(known, 1)).astype(np.float32)
        return replace(
            self, probabilities=mean, seen=known > 0, step_x=_COARSER * self.step_x, step_y=_COARSER * self.step_y
        )


def segment_tissue_classes(
    slide: Slide, plan: SlidePlan, segmenter: Segmenter, *, on_batch: Callable[[], None] = lambda: None
) -> SegmentedRegions:
    """What a regions model says of the analysed tissue of a slide.

    plan : of the analysis, whose tissue mask and resolution are used
    on_batch : called before each batch of windows; raise in it to stop
    """
    card, tissue = segmenter.card, plan.tissue
    found = map_tissue_classes(slide, tissue, WorkFrame.from_mpp(plan.frame.mpp, card.input.mpp), segmenter, on_batch)
    px_per_mm2 = (1000 / plan.frame.mpp) ** 2
    least_px, mpp = (card.least_part_mm2 or 0.0) * px_per_mm2, plan.frame.mpp
    while True:
        classes = found.choose(least_px)
        try:
            return _state(classes, found, card, tissue, mpp)
        except RaggedError:
            # Reports have room for so many corners: a whole slide of ragged tissue is outlined at 16 or 32 um.
            found = found.coarsen()


def map_tissue_classes(
    slide: Slide, tissue: TissueMask, frame: WorkFrame, segmenter: Segmenter, on_batch: Callable[[], None]
) -> ClassMap:
    """The model's probabilities on the elements of a tissue mask, in the windows that hold analysed tissue.

    Each element is taken from the window whose middle part holds its centre. frame : of the model's own resolution
    """
    model, (rows, columns) = segmenter.card.input, tissue.tissue.shape
    margin = (model.overlap_px or 0) // 2
    steps = tissue.step_y / frame.scale, tissue.step_x / frame.scale
    cores = [_split(count, step, model.stride_px) for count, step in zip((rows, columns), steps, strict=True)]
    analysed = tissue.tissue & tissue.analysed
    wanted = [
        (row, column)
        for row in range(len(cores[0]))
        for column in range(len(cores[1]))
        if analysed[cores[0][row], cores[1][column]].any()
    ]
    found = ClassMap(
        np.zeros((len(segmenter.card.tissue_classes or []), rows, columns), np.float32),
        np.zeros((rows, columns), np.bool_),
        tissue.step_x,
        tissue.step_y,
    )
    side, most = model.window_px, model.batch or choose_batch_sizes(segmenter.provider).windows
    for start in range(0, len(wanted), most):
        on_batch()
        batch = wanted[start : start + most]
        corners = [(c * model.stride_px - margin, r * model.stride_px - margin) for r, c in batch]
        windows = np.stack([read_mirrored(slide, frame, Region(x, y, side, side)) for x, y in corners])
        for (row, column), (left, top), planes in zip(batch, corners, segmenter.segment(windows), strict=True):
            own = cores[0][row], cores[1][column]
            px = side / planes.shape[1]
            down = _place(own[0], steps[0], top, px, planes.shape[1])
            across = _place(own[1], steps[1], left, px, planes.shape[2])
            found.probabilities[:, *own] = planes[:, down][:, :, :, across].mean((2, 4))
            found.seen[own] = True
    return found


def _split(count: int, step: float, stride: int) -> list[slice]:
    """Elements along an axis by the window whose middle part holds their centres. step : of an element, work px."""
    owner = np.floor((np.arange(count) + 0.5) * step / stride).astype(np.int64)
    edges = np.searchsorted(owner, np.arange(owner[-1] + 2))
    return [slice(int(low), int(high)) for low, high in itertools.pairwise(edges)]


def _place(own: slice, step: float, first: int, px: float, size: int) -> NDArray[np.intp]:
    """Indices into a window's map of places in each element, shape (elements, places).

    step : of an element, work px. first : of the window. px : work px of an index. size : indices there are
    """
    count = int(np.clip(math.ceil(step / px), 1, _MOST_SAMPLES))
    places = (np.arange(own.start, own.stop)[:, None] + (np.arange(count) + 0.5) / count) * step
    return ((places - first) / px).astype(np.intp).clip(0, size - 1)


def _state(
    classes: NDArray[np.intp], found: ClassMap, card: ModelCard, tissue: TissueMask, mpp: float
) -> SegmentedRegions:
    """As the report has it; raises `RaggedError` where the outlines have more corners than it takes."""
    analysed = tissue.tissue & tissue.analysed
    rows, columns = (
        ((np.arange(size) + 0.5) * step / coarse).astype(np.intp).clip(0, most - 1)
        for size, step, coarse, most in zip(
            analysed.shape, (tissue.step_y, tissue.step_x), (found.step_y, found.step_x), classes.shape, strict=True
        )
    )
    fine = classes[np.ix_(rows, columns)]
    element_mm2 = tissue.step_x * tissue.step_y * (mpp / 1000) ** 2
    left, stated = MAX_VERTICES, []
    for number, one in enumerate(place_nothing(card).classes):
        outlines: list[NamedOutline] = []
        if (classes == number).any():
            polygons, corners = _trace(classes == number, found)
            left -= corners
            if left < 0:
                raise RaggedError("the regions have more corners than a report takes")
            outlines.append(NamedOutline(name=one.name, polygons=polygons))
        area = float((analysed & (fine == number)).sum()) * element_mm2
        stated.append(one.model_copy(update={"area_mm2": round(area, 4), "outlines": outlines}))
    mask_mpp = math.sqrt(found.step_x * found.step_y) * mpp
    return place_nothing(card).model_copy(update={"mask_mpp": round(mask_mpp, 4), "classes": stated})


def _trace(marked: NDArray[np.bool_], found: ClassMap) -> tuple[list[list[list[tuple[float, float]]]], int]:
    """Polygons along the edges of marked elements, level-0 px, and how many corners they have."""
    polygons = [
        [[(round(x * found.step_x, 3), round(y * found.step_y, 3)) for x, y in ring] for ring in rings]
        for rings in trace_boxes(marked)
    ]
    return polygons, sum(len(ring) for polygon in polygons for ring in polygon)
