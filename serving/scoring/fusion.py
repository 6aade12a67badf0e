"""What several detectors found in a slide becomes one list: what they found within a distance of each other is one figure.

Weighted boxes fusion (Solovyev et al. 2021, arXiv 1910.13302), with what a detector's silence is worth stated for each: where it
looked and found nothing, its floor counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.core.detections import Detections
from serving.core.fusion import Fusion, FusionMethod

SURE = 1e-4
"""No probability is pooled by its logit as surer than this, so that none overrules the others by a rounding error."""
_NOBODY = -1


@dataclass(frozen=True, slots=True)
class FoundPlaces:
    """Places that one or more of M detectors found, the likeliest first by what the surest of them says.

    boxes : float32, shape (N, 4), xyxy, level-0 px: the mean of the detectors' boxes, each by its probability
    by_detector : float32, shape (N, M), what each detector says, NaN where it found nothing
    source : int64, shape (N, M), which of each detector's detections that is, -1 for none
    """

    boxes: NDArray[np.float32]
    by_detector: NDArray[np.float32]
    source: NDArray[np.int64]

    @property
    def centres(self) -> NDArray[np.float32]:
        """Middles of the boxes, float32, shape (N, 2), (x, y)."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / np.float32(2)


def find_places(found: Mapping[str, Detections], distance: float) -> FoundPlaces:
    """Join what different detectors found within a distance; what one detector tells apart stays apart.

    In the order of their probabilities, each detection joins the nearest place within the distance that its own detector has not
    found yet, or makes a place of its own. Two places within the distance have a detector in common. Neither weights nor the
    order of the detectors play a part.

    found : of each detector, by its name, level-0 px, with calibrated probabilities. distance : level-0 px
    """
    counts = [len(one) for one in found.values()]
    every = Detections.concatenate(found.values())
    owner = np.repeat(np.arange(len(found)), counts)
    # Equal boxes of equal probabilities come by the names of their detectors.
    called = np.asarray([sorted(found).index(name) for name in found], np.int64)
    number = np.concatenate([np.empty(0, np.int64), *(np.arange(count) for count in counts)])
    order = np.lexsort((called[owner], *every.boxes.T, -every.probabilities))
    centres = (every.boxes[:, :2].astype(np.float64) + every.boxes[:, 2:]) / 2
    source = _join(centres, owner, number, order, distance=distance, detectors=len(found))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)[:-1]
    heard = source >= 0
    rows = np.where(heard, source + starts, 0)
    said = np.where(heard, every.probabilities[rows] if len(every) else np.nan, np.float32(np.nan)).astype(np.float32)
    boxes = _place_boxes(every.boxes[rows] if len(every) else np.empty((0, len(found), 4), np.float32), said, distance)
    return FoundPlaces(boxes, said, source)


def pool(
    by_detector: NDArray[np.float32],
    looked: NDArray[np.bool_],
    *,
    weights: Sequence[float],
    floors: Sequence[float],
    method: FusionMethod,
) -> NDArray[np.float32]:
    """One probability of each place, float32, shape (N,): the weighted mean of what the detectors that looked there say.

    Where a detector looked and found nothing, or says less than its floor, its floor counts. A detector that did not look is not
    heard. A place that one detector alone looked at keeps its probability.

    by_detector : float32, shape (N, M), NaN where a detector found nothing. looked : bool, shape (N, M), whether it looked at all
    weights, floors : M numbers each
    """
    found = np.isfinite(by_detector)
    heard = np.asarray((looked | found) * np.asarray(weights, np.float64), np.float64)
    least = np.asarray(floors, np.float64)
    said = np.where(found, np.fmax(by_detector, least), least)
    if method == "logit":
        sure = np.clip(said, SURE, 1 - SURE)
        logits = _add_up(np.log(sure / (1 - sure)) * heard) / _add_up(heard)
        pooled = 1 / (1 + np.exp(-logits))
    else:
        pooled = _add_up(said * heard) / _add_up(heard)
    alone = (heard > 0).sum(1) == 1
    own = np.where(heard > 0, said, -np.inf).max(1, initial=-np.inf)
    return np.asarray(np.where(alone, own, pooled), np.float32)


def _add_up(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of each row, from the least, so that the order of the detectors changes no digit."""
    return np.asarray(np.sort(parts, axis=1).sum(1))


def fuse(
    found: Mapping[str, Detections], looked: Mapping[str, NDArray[np.bool_]], places: FoundPlaces, rule: Fusion
) -> Detections:
    """The places as detections with their pooled probabilities, the likeliest first; `scores` are those of the first detector.

    found : of each detector, by its name. looked : bool, shape (N,), whether it looked at each place
    """
    names = [detector.name for detector in rule.detectors]
    probabilities = pool(
        places.by_detector,
        np.stack([looked[name] for name in names], 1),
        weights=[detector.weight for detector in rule.detectors],
        floors=[detector.floor for detector in rule.detectors],
        method=rule.method,
    )
    first = found[names[0]]
    own = places.source[:, 0]
    scores = np.full(len(own), np.nan, np.float32)
    scores[own >= 0] = first.scores[own[own >= 0]]
    fused = Detections(places.boxes, probabilities, scores, by_detector=places.by_detector)
    return fused[np.lexsort((*fused.boxes.T, -fused.probabilities))]


def _join(
    centres: NDArray[np.float64],
    owner: NDArray[np.int64],
    number: NDArray[np.int64],
    order: NDArray[np.intp],
    *,
    distance: float,
    detectors: int,
) -> NDArray[np.int64]:
    """Which detection of each detector makes a place, -1 for none, int64, shape (N, M)."""
    if not len(centres):
        return np.empty((0, detectors), np.int64)
    near = cast("list[list[int]]", cKDTree(centres).query_ball_point(centres, distance))
    place_of_head: dict[int, int] = {}
    made: list[list[int]] = []
    for one in order.tolist():
        mine = int(owner[one])
        free = [
            (float(np.hypot(*(centres[head] - centres[one]))), place_of_head[head])
            for head in near[one]
            if head in place_of_head and made[place_of_head[head]][mine] == _NOBODY
        ]
        if free:
            made[min(free)[1]][mine] = int(number[one])
        else:
            place_of_head[one] = len(made)
            made.append([_NOBODY] * detectors)
            made[-1][mine] = int(number[one])
    return np.asarray(made, np.int64)


def _place_boxes(boxes: NDArray[np.float32], said: NDArray[np.float32], distance: float) -> NDArray[np.float32]:
    """A box for each place: the mean by probability, or the likeliest box where means would bring strangers too near.

    boxes : float32, shape (N, M, 4), of each detector; said : float32, shape (N, M), NaN where it found nothing
    """
    weights = np.where(np.isfinite(said), said, 0.0).astype(np.float64)
    # The likeliest made the place; of equally likely ones the first by position, as in the order of joining.
    heads = np.stack([_find_head(b, s) for b, s in zip(boxes, said, strict=True)]) if len(boxes) else boxes[:, 0]
    total = weights.sum(1, keepdims=True)
    means = (boxes.astype(np.float64) * weights[..., None]).sum(1) / np.maximum(total, 1e-12)
    shared = (np.isfinite(said).sum(1) > 1) & (total[:, 0] > 0)
    placed = np.where(shared[:, None], means, heads).astype(np.float32)
    moved = shared.copy()
    while moved.any():
        centres = (placed[:, :2].astype(np.float64) + placed[:, 2:]) / 2
        pairs = cKDTree(centres).query_pairs(distance, output_type="ndarray")
        strangers = pairs[~(np.isfinite(said[pairs[:, 0]]) & np.isfinite(said[pairs[:, 1]])).any(1)]
        back = np.unique(strangers)
        back = back[moved[back]]
        if not len(back):
            break
        placed[back], moved[back] = heads[back], False
    return placed


def _find_head(boxes: NDArray[np.float32], said: NDArray[np.float32]) -> NDArray[np.float32]:
    found = np.flatnonzero(np.isfinite(said))
    first = np.lexsort((*boxes[found].T, -said[found]))[0]
    return np.asarray(boxes[found[first]])
