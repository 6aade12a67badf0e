"""From boxes in overlapping sub-tiles to figures on the slide, each counted once."""

import itertools
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.core.detections import Detections

EDGE_MARGIN_UM = 10.0
"""A window judges a figure only if its centre is this far inside: a figure is 7 to 15 um across."""


@dataclass(frozen=True, slots=True)
class SubTileBoxes:
    """Det's raw output over many sub-tiles.

    detections : boxes in work px of the slide; `scores` the screening score of the sub-tile of each box
    sub_tile : int64, shape (N,), which sub-tile each box came from, index into `origins`
    origins : float32, shape (M, 2), (x, y) of every sub-tile that Det ran on, work px
    origin_scores : float32, shape (M,), their screening scores
    """

    detections: Detections
    sub_tile: NDArray[np.int64]
    origins: NDArray[np.float32]
    origin_scores: NDArray[np.float32]


def merge(raw: SubTileBoxes, *, radius: float, window: int, margin: float) -> Detections:
    """Figures from raw boxes: boxes whose centres are within `radius` (work px) are one figure.

    The figure's box is the likeliest among those that no sub-tile's edge cuts. Its probability is the mean over all
    sub-tiles that show it well, those that found nothing counting as 0: several looks at one figure damp chance
    findings. Its score is that of the sub-tile in which it lies most centrally. The result does not depend on the order
    of sub-tiles, and merging it again changes nothing.

    margin : a sub-tile judges a figure only if its centre is this far inside, work px
    """
    boxes = raw.detections
    if not len(boxes):
        return Detections.empty()
    heads, figure = _figures(boxes.centres, _ranking(raw, window), radius)
    shown, of = _sub_tiles_around(boxes.centres[heads], raw.origins, window)
    off_centre = np.abs(boxes.centres[heads][of] - raw.origins[shown] - window / 2).max(1)
    judging = off_centre <= window / 2 - margin
    likely = boxes.probabilities[heads].astype(np.float64)
    mean, judges = _mean_probability(raw, figure, shown[judging], of[judging], len(heads))
    probabilities = np.where(judges > 0, mean, likely)
    scores = boxes.scores[heads]
    # Equally central sub-tiles: the higher score, whatever their order.
    central = np.lexsort((-raw.origin_scores[shown], off_centre, of))
    first = central[np.flatnonzero(np.diff(of[central], prepend=-1))]
    scores[of[first]] = raw.origin_scores[shown[first]]
    merged = Detections(boxes.boxes[heads], probabilities.astype(np.float32), scores)
    return merged[np.lexsort((*merged.boxes.T, -merged.probabilities))]


def _figures(
    centres: NDArray[np.float32], order: NDArray[np.intp], radius: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first box of each figure, and of every box the number of its figure."""
    near = cKDTree(centres).query_ball_point(centres, radius)
    figure = np.full(len(centres), -1, np.int64)
    heads: list[int] = []
    for head in order.tolist():
        if figure[head] < 0:
            around = near[head]
            free = around if len(around) == 1 else [i for i in around if figure[i] < 0]
            figure[free] = len(heads)
            heads.append(head)
    return np.asarray(heads, np.int64), figure


def _sub_tiles_around(
    centres: NDArray[np.float32], origins: NDArray[np.float32], window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a sub-tile that shows a centre, and the number of that centre."""
    found = cKDTree(origins + np.float32(window / 2)).query_ball_point(centres, window / 2, p=np.inf)
    # The stubs know the answer for one point only.
    parts = cast("list[list[int]]", found)
    counts = np.fromiter(map(len, parts), np.int64, len(parts))
    shown = np.fromiter(itertools.chain.from_iterable(parts), np.int64, int(counts.sum()))
    return shown, np.repeat(np.arange(len(centres)), counts)


def _mean_probability(
    raw: SubTileBoxes,
    figure: NDArray[np.int64],
    judges: NDArray[np.int64],
    of: NDArray[np.int64],
    figures: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each figure, the mean over the sub-tiles that judge it of the likeliest box in each, and how many judge it.

    judges, of : pairs of a sub-tile and the figure that it judges
    """
    sub_tiles = len(raw.origins)
    pairs = np.sort(of * sub_tiles + judges)
    key = figure * sub_tiles + raw.sub_tile
    place = np.searchsorted(pairs, key)
    heard = (place < len(pairs)) & (pairs[np.minimum(place, len(pairs) - 1)] == key) if len(pairs) else place < 0
    best = np.zeros(len(pairs))
    np.maximum.at(best, place[heard], raw.detections.probabilities[heard])
    by = pairs // sub_tiles
    # Summed from the least, so that the order of sub-tiles changes no digit.
    ascending = np.lexsort((best, by))
    totals = np.bincount(by[ascending], best[ascending], figures)
    counts = np.bincount(by, minlength=figures)
    return totals / np.maximum(counts, 1), counts


def _ranking(raw: SubTileBoxes, window: int) -> NDArray[np.intp]:
    """Whole boxes before those that touch an edge of their sub-tile; then by probability, then by position."""
    boxes, origin = raw.detections.boxes, raw.origins[raw.sub_tile]
    low, high = boxes[:, :2] - origin, origin + window - boxes[:, 2:]
    cut = (np.minimum(low, high) < 1).any(1)
    return np.lexsort((*boxes.T, -raw.detections.probabilities, cut))
