"""From coordinates as files give them to annotations inside their picture, every change counted."""

from collections.abc import Sequence
from itertools import pairwise

from serving.datasets.import_report import ImportReport
from serving.datasets.readers.classes import Label
from serving.datasets.store import Annotation, Box, Vote

NOMINAL_HALF_PX = 25.0
"""Published point labels are 50 px boxes around a centre (MIDOG, SlideRunner), at about 0.25 um/px."""
NOMINAL_HALF_UM = 6.25
"""The same where a slide has another resolution."""


def around(x: float, y: float, half: float = NOMINAL_HALF_PX) -> Box:
    """The nominal box of a point, px."""
    return (x - half, y - half, x + half, y + half)


def nominal_half(mpp: float | None) -> float:
    """Half the side of a nominal box in px at `mpp` um/px."""
    return NOMINAL_HALF_PX if mpp is None else NOMINAL_HALF_UM / mpp


def annotation(
    report: ImportReport,
    box: Box,
    size: tuple[int, int],
    label: Label,
    agreement: float,
    *,
    votes: tuple[Vote, ...] = (),
    nominal: bool = False,
) -> Annotation | None:
    """The labelled box cut at the picture's edges; None, and a line in the report, if nothing of it is inside.

    size : width and height of the picture, px
    """
    width, height = size
    x1, y1, x2, y2 = box
    cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height)))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        report.dropped[f"{label}s outside their picture or without area"] += 1
        return None
    if cut != (x1, y1, x2, y2):
        report.clipped[f"{label}s that reach over the picture's edge"] += 1
    report.taken[f"{label}s"] += 1
    return Annotation(box=cut, label=label, agreement=agreement, votes=votes, nominal=nominal)


def ambiguous(annotations: Sequence[Annotation]) -> tuple[Box, ...]:
    """Boxes of look-alikes that some rater called a mitotic figure: too few for a figure, too many for background."""
    return tuple(a.box for a in annotations if a.label == "look-alike" and a.agreement > 0)


def share(votes: Sequence[Vote], label: Label) -> float:
    """Agreement: the share of raters who call it a mitotic figure; the verdict where there are no votes."""
    if not votes:
        return 1.0 if label == "mitotic figure" else 0.0
    return sum(vote.mitotic for vote in votes) / len(votes)


def outside(areas: Sequence[Box], size: tuple[int, int]) -> tuple[Box, ...]:
    """Rectangles that cover a picture except `areas`: what was not looked at, where a file says what was.

    Strips between the areas' edges; in each, what no area covers.
    """
    width, height = (float(side) for side in size)
    rows = sorted({0.0, height, *(min(max(y, 0.0), height) for _, y1, _, y2 in areas for y in (y1, y2))})
    left = []
    for top, bottom in pairwise(rows):
        x = 0.0
        for x1, y1, x2, y2 in sorted(areas):
            if y1 <= top and y2 >= bottom:
                if x1 > x:
                    left.append((x, top, min(x1, width), bottom))
                x = max(x, x2)
        if x < width:
            left.append((x, top, width, bottom))
    return tuple(left)
