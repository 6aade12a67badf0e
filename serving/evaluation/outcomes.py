"""What each detection of a picture is: a figure found, a false detection, or one that counts for nothing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Points = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the detections of one picture are; no detection is two of these, and what is none of them is false.

    hits : bool, shape (N,), one more figure is matched with this detection than without it
    ambiguous : bool, shape (N,), no figure, and matched with an ambiguous object: it counts for nothing
    look_alikes : bool, shape (N,), false, and matched with a marked look-alike
    """

    hits: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]
    look_alikes: NDArray[np.bool_]


def outcomes(
    centres: Points, scores: Points, figures: Points, *, ambiguous: Points, look_alikes: Points, radius: float
) -> Outcomes:
    """Match detections, the highest score first, one-to-one: with figures, the rest with ambiguous objects, then look-alikes.

    The matches among the first k detections are as many as a matching of these k alone can have, for each k. So one pass
    gives the counts at every threshold, and a stretching of the scores that keeps their order changes nothing.

    centres : shape (N, 2), (x, y). scores : shape (N,). figures, ambiguous, look_alikes : shape (M, 2)
    radius : the farthest that a detection may lie from its object, in the unit of the centres
    """
    order = np.argsort(-scores, kind="stable")
    hits = _first_matches(centres, order, figures, radius)
    excused = _first_matches(centres, order[~hits[order]], ambiguous, radius)
    alike = _first_matches(centres, order[~(hits | excused)[order]], look_alikes, radius)
    return Outcomes(hits, excused, alike)


def _first_matches(centres: Points, order: NDArray[np.intp], objects: Points, radius: float) -> NDArray[np.bool_]:
    """Which detections match one more object when they come in this order, shape (N,)."""
    matched = np.zeros(len(centres), np.bool_)
    if not len(order) or not len(objects):
        return matched
    near = cKDTree(centres).query_ball_tree(cKDTree(objects), radius)
    object_of: dict[int, int] = {}
    detection_of: dict[int, int] = {}
    for detection in order.tolist():
        matched[detection] = _add(detection, near, object_of, detection_of)
    return matched


def _add(detection: int, near: list[list[int]], object_of: dict[int, int], detection_of: dict[int, int]) -> bool:
    """Match one more detection, moving others to other objects where that makes room; whether there was room.

    An augmenting path by breadth-first search (Kuhn's algorithm); a detection once matched stays matched.
    """
    reached_from: dict[int, int] = {}
    queue = [detection]  # grows while it is walked
    for current in queue:
        for found in near[current]:
            if found in reached_from:
                continue
            reached_from[found] = current
            if found not in detection_of:
                _shift(found, reached_from, object_of, detection_of)
                return True
            queue.append(detection_of[found])
    return False


def _shift(free: int, reached_from: dict[int, int], object_of: dict[int, int], detection_of: dict[int, int]) -> None:
    """Give each detection on the path to a free object the object after it."""
    found: int | None = free
    while found is not None:
        detection = reached_from[found]
        detection_of[found] = detection
        left = object_of.get(detection)
        object_of[detection] = found
        found = left
