"""From detections, sub-tile scores and truth to the summary of an evaluation. Start reading here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.scoring.matching import MATCH_RADIUS_UM
from training.evaluate import by_slide
from training.evaluation.bootstrap import Unit
from training.evaluation.curves import froc, precision_recall, roc
from training.evaluation.detection_ap import ImageBoxes, average_precision_by_distance, coco_ap
from training.evaluation.detections import Sampling, detection_counts, figure_free, slide_row, spread_rows
from training.evaluation.ranking import rank
from training.evaluation.reliability import reliability
from training.evaluation.sub_tiles import REG_THRESHOLDS, sub_tile_rates
from training.evaluation.summary import (
    AveragePrecision,
    Calibration,
    DataCounts,
    DataDescription,
    EvaluationSummary,
    FrocPoint,
    ModelVersion,
    PrecisionRecallPoint,
    ReliabilityRow,
    RocPoint,
    SubTileRow,
    SubTiles,
)
from training.metrics import Found, rates

POINTS = 200
"""Points of a curve that a summary keeps: more than a printed figure can show."""


@dataclass(frozen=True, slots=True)
class LatticeScores:
    """Sub-tiles of all fields.

    scores : float32, shape (N,); positives : bool, shape (N,), under `rule` (any, r_min or centre)
    thresholds : at which rates are stated; by default the paper's for Reg and Reg-NS
    """

    scores: NDArray[np.float32]
    positives: NDArray[np.bool_]
    rule: str = "centre"
    thresholds: Sequence[float] = REG_THRESHOLDS


def evaluate_found(
    found: Sequence[Found],
    lattice: LatticeScores | None,
    *,
    areas_mm2: Sequence[float],
    threshold: float,
    how_chosen: str,
    data: DataDescription,
    models: Sequence[ModelVersion],
    title: str = "Evaluation",
    images: Sequence[ImageBoxes] = (),
    limits: Sequence[str] = (),
    unit: Unit = "slides",
    draws: int = 2000,
    seed: int = 0,
) -> EvaluationSummary:
    """Everything measured of a cascade at one detection threshold.

    found : detections and truth of each field; `group` names its slide
    areas_mm2 : of each field, in the order of `found`
    images : predicted and true boxes for COCO's average precision, which is not stated without them
    unit : what intervals are drawn over; patients are the same as slides where each patient gave one

    Raises
    ------
    ValueError
        If there are no fields, not one area above 0 for each, or the sub-tiles' arrays do not fit.
    """
    if not found:
        raise ValueError("no fields to evaluate")
    sampling = Sampling(unit, draws, seed)
    slides = by_slide(found)
    return EvaluationSummary(
        title=title,
        models=list(models),
        data=data,
        counts=DataCounts(
            slides=len(slides),
            fields=len(found),
            figures=sum(len(field.truth) for field in found),
            area_mm2=float(sum(areas_mm2)),
        ),
        detection_threshold=threshold,
        how_chosen=how_chosen,
        matching_radius_um=MATCH_RADIUS_UM,
        detection=detection_counts(found, threshold, sampling),
        per_slide=[slide_row(slide, fields, threshold) for slide, fields in slides.items()],
        spread=spread_rows([rates(fields, threshold) for fields in slides.values()]),
        froc=_froc_points(found, areas_mm2),
        figure_free=figure_free(found, areas_mm2, threshold, sampling),
        sub_tiles=None if lattice is None else _sub_tiles(lattice),
        average_precision=_average_precision(found, images),
        calibration=_calibration(found),
        limits=list(limits),
    )


def _froc_points(found: Sequence[Found], areas_mm2: Sequence[float]) -> list[FrocPoint]:
    curve = froc(found, areas_mm2)
    columns = (curve.thresholds, curve.sensitivity, curve.per_mm2(), curve.per_image())
    return [
        FrocPoint(
            threshold=threshold,
            sensitivity=sensitivity,
            false_positives_per_mm2=per_mm2,
            false_positives_per_field=per_field,
        )
        for threshold, sensitivity, per_mm2, per_field in _thinned(*columns)
    ]


def _sub_tiles(lattice: LatticeScores) -> SubTiles:
    receiver, precise = roc(lattice.scores, lattice.positives), precision_recall(lattice.scores, lattice.positives)
    return SubTiles(
        positives=int(lattice.positives.sum()),
        negatives=int((~lattice.positives).sum()),
        positive_rule=lattice.rule,
        rates=[
            SubTileRow.model_validate(row)
            for row in sub_tile_rates(lattice.scores, lattice.positives, lattice.thresholds)
        ],
        auc=receiver.auc,
        average_precision=precise.average_precision,
        roc=[RocPoint(fpr=fpr, tpr=tpr) for fpr, tpr in _thinned(receiver.fpr, receiver.tpr)],
        precision_recall=[
            PrecisionRecallPoint(recall=recall, precision=precision)
            for recall, precision in _thinned(precise.recall, precise.precision)
        ],
    )


def _average_precision(found: Sequence[Found], images: Sequence[ImageBoxes]) -> AveragePrecision:
    coco = coco_ap(images)
    return AveragePrecision(
        by_distance=average_precision_by_distance(found), coco_50_95=coco.ap_50_95, coco_50=coco.ap_50
    )


def _calibration(found: Sequence[Found]) -> Calibration:
    ranking = rank(found)
    curve = reliability(ranking.probabilities, ranking.hits)
    return Calibration(
        expected_calibration_error=curve.expected_calibration_error,
        bins=[ReliabilityRow.model_validate(row) for row in curve.bins],
    )


def _thinned(*columns: NDArray[np.float64]) -> list[list[float]]:
    """Rows of a curve, at most `POINTS` of them, evenly chosen, the first and the last among them."""
    count = len(columns[0])
    kept = np.unique(np.linspace(0, count - 1, min(count, POINTS)).round().astype(np.intp))
    rows: list[list[float]] = np.stack(columns, 1)[kept].tolist()
    return rows
