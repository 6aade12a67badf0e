"""From scores of sub-tiles to the agreement they stand for: the isotonic table of a screening model's card."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from serving.core.card_parts import CountCalibration
from serving.scoring.analysis import MitosisMap
from training.labels.targets import Boxes, clip_boxes

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class LabelledSubTiles:
    """Sub-tiles of a labelled field that lie in it as wholes.

    scores : float32, shape (N,). targets : float64, shape (N,), s_t, the area fractions of the figures that each shows
    """

    scores: NDArray[np.float32]
    targets: NDArray[np.float64]


def label_sub_tiles(lattice: MitosisMap, boxes: Boxes, *, width: int, height: int) -> LabelledSubTiles:
    """The sub-tiles of a field, beside what they show.

    boxes : float32, shape (N, 4), xyxy, level-0 px, every figure of the field. width, height : of the field, level-0 px
    """
    scores, targets = [], []
    side = lattice.window
    for row, column in zip(*np.nonzero(np.isfinite(lattice.scores)), strict=True):
        x, y = lattice.x + column * lattice.step, lattice.y + row * lattice.step
        if x < 0 or y < 0 or x + side > width or y + side > height:
            continue  # mirrored pixels show figures again that nobody labelled
        scores.append(lattice.scores[row, column])
        targets.append(float(clip_boxes(boxes, (x, y, side, side))[1].sum()))
    return LabelledSubTiles(np.asarray(scores, np.float32), np.asarray(targets, np.float64))


def fit_count_calibration(fields: Sequence[LabelledSubTiles], *, slides: int, data: str) -> CountCalibration:
    """Least squares under the condition that more score never stands for less (Zadrozny and Elkan, 2002).

    Each figure counts as agreed upon by all, so the table's mean agreement is 1.

    Raises
    ------
    ValueError
        If there are no sub-tiles.
    """
    scores, targets = (np.concatenate([getattr(f, name) for f in fields]) for name in ("scores", "targets"))
    if not len(scores):
        raise ValueError("no sub-tile lies in a labelled field as a whole")
    fitted = IsotonicRegression(y_min=0.0).fit(scores.astype(np.float64), targets)
    points: dict[float, float] = {}
    for score, value in zip(fitted.X_thresholds_, fitted.y_thresholds_, strict=True):
        points[round(float(score), _DIGITS)] = round(float(value), _DIGITS)
    table = {"scores": list(points), "values": list(points.values())}
    return CountCalibration(
        id=hashlib.sha256(json.dumps(table).encode()).hexdigest()[:16],
        **table,
        mean_agreement=1.0,
        sub_tiles=len(scores),
        slides=slides,
        data=data,
    )
