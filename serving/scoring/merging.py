"""From boxes in overlapping sub-tiles to figures on the slide, each counted once."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.wsi.detections import Detections

EDGE_MARGIN_PX = 40
"""A sub-tile judges a figure only if its centre is this far inside (work px): a figure is 30 to 60 px across."""


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


def merge(raw: SubTileBoxes, *, radius: float, window: int) -> Detections:
    """Figures from raw boxes: boxes whose centres are within `radius` (work px) are one figure.

    The figure's box is the likeliest among those that no sub-tile's edge cuts. Its probability is the mean over all
    sub-tiles that show it well, those that found nothing counting as 0: several looks at one figure damp chance
    findings. Its score is that of the sub-tile in which it lies most centrally. The result does not depend on the order
    of sub-tiles, and merging it again changes nothing.
    """
    boxes = raw.detections
    if not len(boxes):
        return Detections.empty()
    centres = boxes.centres
    order = _ranking(raw, window)
    near = cKDTree(centres).query_ball_point(centres, radius)
    origins = cKDTree(raw.origins + np.float32(window / 2))
    taken = np.zeros(len(boxes), np.bool_)
    heads, probabilities, scores = [], [], []
    for head in order:
        if taken[head]:
            continue
        members = np.asarray([i for i in near[head] if not taken[i]])
        taken[members] = True
        shown = np.asarray(origins.query_ball_point(centres[head], window / 2, p=np.inf), np.int64)
        off_centre = np.abs(centres[head] - raw.origins[shown] - window / 2).max(1)
        # Equally central sub-tiles: the higher score, whatever their order.
        central = np.lexsort((-raw.origin_scores[shown], off_centre))
        heads.append(head)
        probabilities.append(_probability(raw, head, members, shown[off_centre <= window / 2 - EDGE_MARGIN_PX]))
        scores.append(raw.origin_scores[shown[central[0]]] if len(shown) else boxes.scores[head])
    merged = Detections(boxes.boxes[heads], np.asarray(probabilities, np.float32), np.asarray(scores, np.float32))
    return merged[np.lexsort((*merged.boxes.T, -merged.probabilities))]


def _ranking(raw: SubTileBoxes, window: int) -> NDArray[np.intp]:
    """Whole boxes before those that touch an edge of their sub-tile; then by probability, then by position."""
    boxes, origin = raw.detections.boxes, raw.origins[raw.sub_tile]
    low, high = boxes[:, :2] - origin, origin + window - boxes[:, 2:]
    cut = (np.minimum(low, high) < 1).any(1)
    return np.lexsort((*boxes.T, -raw.detections.probabilities, cut))


def _probability(raw: SubTileBoxes, head: int, members: NDArray[np.int64], judges: NDArray[np.int64]) -> float:
    own = float(raw.detections.probabilities[head])
    if not len(judges):
        return own
    best = dict.fromkeys(judges.tolist(), 0.0)
    for i in members.tolist():
        sub_tile = int(raw.sub_tile[i])
        if sub_tile in best:
            best[sub_tile] = max(best[sub_tile], float(raw.detections.probabilities[i]))
    return math.fsum(best.values()) / len(best)
