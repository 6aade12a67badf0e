"""Detections of all fields in order of probability, each with whether it finds one more figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.scoring.matching import MATCH_RADIUS_UM
from training.evaluation.metrics import Found


@dataclass(frozen=True, slots=True)
class Ranking:
    """Detections, the most probable first.

    probabilities : float32, shape (N,), descending
    hits : bool, shape (N,), whether one more figure is matched with this detection than without it
    figures : labelled figures in all fields, found or not
    """

    probabilities: NDArray[np.float32]
    hits: NDArray[np.bool_]
    figures: int

    def ends(self) -> NDArray[np.intp]:
        """Index of the last detection of each distinct probability: no threshold separates equals."""
        if not len(self.probabilities):
            return np.empty(0, np.intp)
        return np.append(np.flatnonzero(np.diff(self.probabilities)), len(self.probabilities) - 1)


def rank(found: Sequence[Found]) -> Ranking:
    """The ranking of all detections of all fields.

    The hits among the first k detections are as many as a one-to-one matching of these k alone within 7.5 um can have
    (`training.evaluation.metrics.rates` at that threshold), for each k. So both hits and false positives only grow with k.
    """
    probabilities = np.concatenate([np.empty(0, np.float32), *(f.probabilities for f in found)])
    hits = np.concatenate([np.empty(0, np.bool_), *(_hits(f) for f in found)])
    order = np.argsort(-probabilities, kind="stable")
    return Ranking(probabilities[order], hits[order], sum(len(f.truth) for f in found))


def _hits(field: Found) -> NDArray[np.bool_]:
    """Which detections of a field find one more figure when they come in order of probability, shape (N,)."""
    hits = np.zeros(len(field.centres), np.bool_)
    if not len(field.centres) or not len(field.truth):
        return hits
    near = cKDTree(field.centres).query_ball_tree(cKDTree(field.truth), MATCH_RADIUS_UM / field.mpp)
    figure_of: dict[int, int] = {}
    detection_of: dict[int, int] = {}
    for detection in np.argsort(-field.probabilities, kind="stable").tolist():
        hits[detection] = _add(detection, near, figure_of, detection_of)
    return hits


def _add(detection: int, near: list[list[int]], figure_of: dict[int, int], detection_of: dict[int, int]) -> bool:
    """Match one more detection, moving others to other figures where that makes room; whether there was room.

    An augmenting path by breadth-first search (Kuhn's algorithm); a detection once matched stays matched.
    """
    reached_from: dict[int, int] = {}
    queue = [detection]  # grows while it is walked
    for current in queue:
        for figure in near[current]:
            if figure in reached_from:
                continue
            reached_from[figure] = current
            if figure not in detection_of:
                _shift(figure, reached_from, figure_of, detection_of)
                return True
            queue.append(detection_of[figure])
    return False


def _shift(free: int, reached_from: dict[int, int], figure_of: dict[int, int], detection_of: dict[int, int]) -> None:
    """Give each detection on the path to a free figure the figure after it."""
    figure: int | None = free
    while figure is not None:
        detection = reached_from[figure]
        detection_of[figure] = detection
        left = figure_of.get(detection)
        figure_of[detection] = figure
        figure = left
