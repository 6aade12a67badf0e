"""What files of annotations mean: names of classes, and outlines of several parts."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

MITOTIC = frozenset({"mitotic figure", "mitotic figures", "mitosis", "mitoses", "mitosis: accepted"})
"""Names of classes of figures. Whole names only: "Nonmitosis" and "not mitotic figure" hold the word too."""
REVIEWED = frozenset({"region", "region*", "roi", "reviewed area"})
"""An outline of the area that was looked at, and no object."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, px."""
ONE_FIGURE_UM = 12.5
"""Parts of one outline that are nearer than this are one figure, such as the plates of an anaphase: the side of the 50 px box
that data sets draw around a figure (MIDOG, SlideRunner), at 0.25 um/px."""


def normalize_class(name: str) -> str:
    """A class name in lower case with single spaces, as `MITOTIC` and `REVIEWED` have it."""
    return " ".join(name.split()).lower()


def make_bounding_box(points: Sequence[tuple[float, float]]) -> Box:
    """The box around points, px."""
    xs, ys = zip(*points, strict=True)
    return (min(xs), min(ys), max(xs), max(ys))


def join_boxes(boxes: Sequence[Box], gap: float) -> list[Box]:
    """The box around each group of boxes that are linked by distances of at most `gap` px, by the groups' first boxes."""
    if len(boxes) < 2:
        return list(boxes)
    corners = np.asarray(boxes, np.float64)
    low, high = corners[:, :2], corners[:, 2:]
    apart = np.maximum(np.maximum(low[:, None] - high, low - high[:, None]), 0.0)
    _, group_of = connected_components(np.hypot(apart[..., 0], apart[..., 1]) <= gap, directed=False)
    groups = [group_of == group for group in dict.fromkeys(group_of.tolist())]
    return [
        make_bounding_box([*map(tuple, low[group].tolist()), *map(tuple, high[group].tolist())]) for group in groups
    ]
