"""From a slide's overview, and the structure of its tiles, to the places that cannot be relied on, and why."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.quality.density import SEEN_MPP, least, measure_density, on_grid
from serving.quality.glass import find_fill
from serving.quality.parts import Box, Mask, find_span, morphological_dilate
from serving.quality.quality_check import QUALITY_CHECKS, QualityInputs, StructureMap

_LIGHT = 200
"""Of 255: ink has a mean density of .25 at least and a rim more, so one colour of it is darker than this."""
_AROUND_UM = 200.0
"""Farther than any rule looks around a place."""


@dataclass(frozen=True, slots=True)
class QualityMask:
    """What of a slide cannot be relied on; element [i, j] covers `step_x` x `step_y` level-0 px.

    reasons : uint8, shape (rows, columns): 0 where nothing is wrong, else 1 + the reason's place in `names`
    names : in the order of precedence: a place has the first of the reasons that hold there, so that areas add up
    """

    reasons: NDArray[np.uint8]
    step_x: float
    step_y: float
    names: tuple[str, ...]

    @property
    def masked(self) -> Mask:
        """Where any reason holds."""
        return self.reasons > 0

    def where(self, reason: str) -> Mask:
        """Where a reason of `names` holds."""
        return np.asarray(self.reasons == 1 + self.names.index(reason), np.bool_)

    def holds(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points lie in masked places. centres : float64, shape (N, 2), (x, y), level-0 px -> bool, shape (N,)."""
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
    shape, box = (tissue.shape[0], tissue.shape[1]), _not_glass(overview, tissue, mpp)
    pixels = on_grid(overview, shape)[box]
    inputs = QualityInputs(
        pixels=pixels,
        density=measure_density(overview, shape, mpp, box),
        tissue=tissue[box],
        fill=_find_fill(pixels, mpp),
        mpp=mpp,
        seen=seen,
        box=box,
        step_x=step_x,
        step_y=step_y,
    )
    reasons, focused = np.zeros(shape, np.uint8), np.zeros(shape, np.bool_)
    reasons[box] = _find_reasons(inputs)
    focused[box] = inputs.focus[1]
    return QualityMask(reasons, step_x, step_y, tuple(QUALITY_CHECKS)), focused


def _find_reasons(inputs: QualityInputs) -> NDArray[np.uint8]:
    """uint8, shape (rows, columns) of the inputs: see `QualityMask.reasons`."""
    reasons = np.zeros(inputs.tissue.shape, np.uint8)
    for number, (name, check) in enumerate(QUALITY_CHECKS.items(), 1):
        found = check().find(inputs, reasons > 0)
        if found.shape != reasons.shape or found.dtype != np.bool_:
            raise ValueError(
                f"the quality check {name} gives {found.dtype} of shape {found.shape}, must be bool of shape {reasons.shape}"
            )
        reasons[found & (reasons == 0)] = number
    return reasons


def _find_fill(pixels: NDArray[np.uint8], mpp: float) -> Mask:
    """Where black fill is, which is no ink, and what it blends with when densities are averaged."""
    black, _ = find_fill(pixels, mpp)
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
