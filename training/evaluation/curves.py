"""ROC and precision-recall curves of sub-tile scores, and FROC of detections, with as many points as a figure can show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from serving.evaluation.metrics import FieldDetections
from serving.evaluation.ranking import rank
from training.evaluation.sub_tiles import check_scores

POINTS = 200
"""Points of a curve that a summary keeps."""


def thin_curve(*columns: NDArray[np.float64]) -> list[list[float]]:
    """Rows of a curve, at most `POINTS` of them, evenly chosen, the first and the last among them."""
    count = len(columns[0])
    kept = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.intp))
    rows: list[list[float]] = np.stack(columns, 1)[kept].tolist()
    return rows


Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Roc:
    """fpr, tpr : float64, shape (K,), ascending, from (0, 0) to (1, 1); auc : area under them, NaN where undefined."""

    fpr: Floats
    tpr: Floats
    auc: float


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """precision, recall : float64, shape (K,), recall descending to 0; average_precision : NaN where undefined."""

    precision: Floats
    recall: Floats
    average_precision: float


@dataclass(frozen=True, slots=True)
class Froc:
    """One point for each distinct probability, descending, at which detections of at least it are kept.

    thresholds, sensitivity : float64, shape (K,); sensitivity is NaN where there are no figures
    false_positives : int64, shape (K,), over all fields
    area_mm2, images : over which they were counted
    """

    thresholds: Floats
    sensitivity: Floats
    false_positives: NDArray[np.int64]
    area_mm2: float
    images: int

    def per_mm2(self) -> Floats:
        """False positives per mm2 of looked-at area, shape (K,)."""
        return self.false_positives / self.area_mm2

    def per_image(self) -> Floats:
        """False positives per field, shape (K,)."""
        return self.false_positives / self.images


def roc(scores: NDArray[np.float32], positives: NDArray[np.bool_]) -> Roc:
    """The ROC curve of sub-tile scores; empty with AUC NaN unless both classes are there.

    scores : float32, shape (N,); positives : bool, shape (N,)

    Raises
    ------
    ValueError
        If scores and positives differ in shape, positives are not bool or a score is not a number.
    """
    check_scores(scores, positives)
    if not positives.any() or positives.all():
        return Roc(np.empty(0), np.empty(0), float("nan"))
    fpr, tpr, _ = roc_curve(positives, scores)
    return Roc(fpr, tpr, float(roc_auc_score(positives, scores)))


def precision_recall(scores: NDArray[np.float32], positives: NDArray[np.bool_]) -> PrecisionRecall:
    """The precision-recall curve of sub-tile scores; empty with average precision NaN unless a sub-tile is positive.

    scores : float32, shape (N,); positives : bool, shape (N,)

    Raises
    ------
    ValueError
        If scores and positives differ in shape, positives are not bool or a score is not a number.
    """
    check_scores(scores, positives)
    if not positives.any():
        return PrecisionRecall(np.empty(0), np.empty(0), float("nan"))
    precision, recall, _ = precision_recall_curve(positives, scores, drop_intermediate=True)
    return PrecisionRecall(precision, recall, float(average_precision_score(positives, scores)))


def froc(found: Sequence[FieldDetections], areas_mm2: Sequence[float]) -> Froc:
    """Sensitivity against false positives, detections and figures matched one-to-one within 7.5 um.

    areas_mm2 : of each field, in the order of `found`

    Raises
    ------
    ValueError
        If there is not one area above 0 for each field.
    """
    if len(areas_mm2) != len(found) or any(not area > 0 for area in areas_mm2):
        raise ValueError(f"{len(found)} fields need as many areas above 0 mm2; given: {list(areas_mm2)}")
    ranking = rank(found)
    ends = ranking.ends()
    hits = ranking.hits.cumsum()[ends]
    return Froc(
        thresholds=ranking.probabilities[ends].astype(np.float64),
        sensitivity=hits / ranking.figures if ranking.figures else np.full(len(ends), np.nan),
        false_positives=(ends + 1 - hits).astype(np.int64),
        area_mm2=float(sum(areas_mm2)),
        images=len(found),
    )
