"""From a slide's overview, and the structure of its tiles, to the places that cannot be relied on, and why."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from serving.quality import bubble, focus, fold, pen
from serving.quality.channels import least
from serving.quality.density import SEEN_MPP, measure_density, on_grid
from serving.quality.glass import find_fill
from serving.quality.parts import Box, Mask, find_span, morphological_dilate

Reason = Literal["pen", "bubble", "fold", "blur"]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""In the order of precedence: a place has the first of the reasons that hold there, so that areas add up."""
METHODS: dict[Reason, str] = {"pen": pen.METHOD, "bubble": bubble.METHOD, "fold": fold.METHOD, "blur": focus.METHOD}

_LIGHT = 200
"""Of 255: ink has a mean density of .25 at least and a rim more, so one colour of it is darker than this."""
_AROUND_UM = 200.0
"""Farther than any rule looks around a place."""


@dataclass(frozen=True, slots=True)
class StructureMap:
    """Where the parts of a `structure` lie: [i, j] starts at (x + j * step, y + i * step), level-0 px."""

    structure: focus.Structure
    x: float
    y: float
    step: float


@dataclass(frozen=True, slots=True)
class QualityMask:
    """What of a slide cannot be relied on; element [i, j] covers `step_x` x `step_y` level-0 px.

    reasons : uint8, shape (rows, columns): 0 where nothing is wrong, else 1 + the reason's place in `REASONS`
    """

    reasons: NDArray[np.uint8]
    step_x: float
    step_y: float

    @property
    def masked(self) -> Mask:
        """Where any reason holds."""
        return self.reasons > 0

    def where(self, reason: Reason) -> Mask:
        """Where a reason holds."""
        return np.asarray(self.reasons == 1 + REASONS.index(reason), np.bool_)

    def holds(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points lie in masked places. centres : float64, shape (N, 2), (x, y), level-0 px -> bool, shape (N,)"""
        rows, columns = self.reasons.shape
        column = (centres[:, 0] / self.step_x).astype(np.intp).clip(0, columns - 1)
        row = (centres[:, 1] / self.step_y).astype(np.intp).clip(0, rows - 1)
        return np.asarray(self.masked[row, column], np.bool_)


def find_quality_mask(
    overview: NDArray[np.uint8], tissue: Mask, seen: StructureMap, *, step_x: float, step_y: float, mpp: float
) -> tuple[QualityMask, Mask]:
    """The mask of a slide, and where there was tissue enough to see to judge the focus: bool, the shape of `tissue`.

    overview : uint8, shape (height, width, 3), RGB, the whole slide, at least as fine as `tissue`
    tissue : bool, shape (rows, columns); an element covers `step_x` x `step_y` level-0 px and `mpp` um
    """
    box = _not_glass(overview, tissue, mpp)
    density = measure_density(overview, (tissue.shape[0], tissue.shape[1]), mpp, box)
    filled = _find_fill(overview, tissue, box, mpp)
    ink = pen.find_ink(density, mpp) & ~filled
    bubbles = bubble.find_bubbles(density, mpp) & ~filled
    folds = fold.find_folds(density, tissue[box] & ~ink & ~bubbles, mpp)
    blurred, judged = (
        _on_grid(parts, seen, tissue, box, (step_y, step_x)) for parts in focus.find_blur(seen.structure)
    )
    reasons = np.zeros(tissue.shape, np.uint8)
    for number, mask in reversed(list(enumerate((ink, bubbles, folds, blurred), 1))):
        reasons[box][mask] = number
    focused = np.zeros(tissue.shape, np.bool_)
    focused[box] = judged
    return QualityMask(reasons, step_x, step_y), focused


def _find_fill(overview: NDArray[np.uint8], tissue: Mask, box: Box, mpp: float) -> Mask:
    """Where black fill is, which is no ink, and what it blends with when densities are averaged."""
    black, _ = find_fill(on_grid(overview, (tissue.shape[0], tissue.shape[1]))[box], mpp)
    return morphological_dilate(black, SEEN_MPP + 2 * mpp, mpp) if black.any() else black


def _not_glass(overview: NDArray[np.uint8], tissue: Mask, mpp: float) -> Box:
    """The part of the grid with all that a rule could mask: much of a large slide may be glass."""
    dark, margin = least(overview) < _LIGHT, int(_AROUND_UM / mpp) + 1
    spans = []
    for axis in (1, 0):
        held = np.asarray(tissue.any(axis))
        places = np.flatnonzero(dark.any(axis))
        held[places * len(held) // dark.shape[1 - axis]] = True
        spans.append(find_span(held, margin))
    return spans[0], spans[1]


def _on_grid(parts: Mask, seen: StructureMap, tissue: Mask, box: Box, steps: tuple[float, float]) -> Mask:
    """Of each element of the box that is tissue, the part around its centre."""
    places = []
    for size, span, step, start, count in zip(tissue.shape, box, steps, (seen.y, seen.x), parts.shape, strict=True):
        centres = (np.arange(size)[span] + 0.5) * step
        places.append(((centres - start) / seen.step).astype(np.intp).clip(0, count - 1))
    return np.asarray(parts[np.ix_(*places)] & tissue[box], np.bool_)
