"""A mask as outlines."""

import numpy as np
import shapely
from numpy.typing import NDArray

from serving.core.errors import RequestError
from serving.core.outlines import MAX_VERTICES, NamedPolygons, Outlines

MAX_MASK_PX = 50_000_000
"""A mask of a large slide at 8 um/px has ten million."""
MAX_RUNS = 200_000
_MPP = (0.05, 500.0)


class RaggedError(RequestError):
    """A mask whose outlines would have more corners than anybody can use."""

    slug = "malformed-request"


def trace_mask(marked: NDArray[np.bool_], name: str, mpp: float | None) -> Outlines:
    """The outlines of what a mask marks, along the edges of its px; they are in um from its upper left corner.

    Parameters
    ----------
    marked
        bool, shape (rows, columns).
    name
        What the region is called.
    mpp
        Microns per px of the mask; None where nobody knows.

    Raises
    ------
    RequestError
        If nothing says how large a px is, or the mask marks nothing, or is too ragged.
    """
    if mpp is None or not _MPP[0] <= mpp <= _MPP[1]:
        stated = "states no microns per px" if mpp is None else f"has {mpp:g} um/px"
        raise RequestError(f"the mask {name!r} {stated}: give `mask_mpp`, {_MPP[0]:g} to {_MPP[1]:g} um")
    if not marked.any():
        raise RequestError(f"the mask {name!r} is black all over: what is to be marked must not be black")
    try:
        traced = trace_boxes(marked)
    except RaggedError as error:
        raise RequestError(f"the mask {name!r}: {error}: smooth it, or give it at fewer px") from error
    polygons = tuple(tuple(tuple((x * mpp, y * mpp) for x, y in ring) for ring in rings) for rings in traced)
    return Outlines((NamedPolygons(name, polygons),), "um")


def trace_boxes(marked: NDArray[np.bool_]) -> list[list[list[tuple[float, float]]]]:
    """Polygons of rings of corners (x, y), px, along the edges of what is marked, which is something.

    Raises
    ------
    RaggedError
        If there would be more than `MAX_VERTICES` corners.
    """
    boxes = _find_boxes(marked)
    # Corners between two boxes on one straight side go.
    shape = shapely.simplify(shapely.union_all(shapely.box(*np.asarray(boxes, np.float64).T)), 0)
    if shapely.get_num_coordinates(shape) > MAX_VERTICES:
        raise RaggedError(f"more than {MAX_VERTICES} corners")
    return [
        [[(x, y) for x, y in shapely.get_coordinates(ring).tolist()] for ring in rings]
        for rings in map(shapely.get_rings, shapely.get_parts(shape))
    ]


def check_mask_size(width: int, height: int, name: str) -> None:
    """Refuse a mask of too many px before it is decoded.

    Raises
    ------
    RequestError
        If there are more than `MAX_MASK_PX`.
    """
    if width * height > MAX_MASK_PX:
        raise RequestError(f"the mask {name!r} has more than {MAX_MASK_PX} px: give it at more um per px, such as 8")


def _find_boxes(marked: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Rectangles that hold what is marked, (left, top, right, bottom): equal runs in rows one below the other."""
    steps = np.diff(np.pad(marked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    boxes: list[tuple[int, int, int, int]] = []
    going: dict[tuple[int, int], int] = {}
    for row, line in enumerate([*steps, np.zeros(steps.shape[1], np.int8)]):
        runs = zip(np.flatnonzero(line == 1).tolist(), np.flatnonzero(line == -1).tolist(), strict=True)
        now = {run: going.get(run, row) for run in runs}
        boxes += [(run[0], first, run[1], row) for run, first in going.items() if run not in now]
        if len(boxes) + len(now) > MAX_RUNS:
            raise RaggedError("too ragged")
        going = now
    return boxes
