"""From detections, sub-tile scores and truth to the summary of an evaluation. Start reading here."""

from collections.abc import Sequence

from serving.evaluation.bootstrap import Unit
from serving.evaluation.metrics import FieldDetections, rates
from serving.evaluation.ranking import average_precision_by_distance, rank
from serving.scoring.matching import MATCH_RADIUS_UM
from training.evaluation.curves import froc, thin_curve
from training.evaluation.detection_ap import ImageBoxes, coco_ap
from training.evaluation.detections import BootstrapOptions, detection_counts, figure_free, slide_row, spread_rows
from training.evaluation.lattice import LatticeScores, calibration, lattice_summary
from training.evaluation.served_analysis import group_by_slide
from training.evaluation.summary import (
    AveragePrecision,
    DataCounts,
    DataDescription,
    Detected,
    EvaluationSummary,
    FrocPoint,
    ModelVersion,
)


def evaluate_found(
    found: Sequence[FieldDetections],
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
    sampling = BootstrapOptions(unit, draws, seed)
    slides = group_by_slide(found)
    ranking = rank(found)
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
        detection=Detected(
            threshold=threshold,
            how_chosen=how_chosen,
            matching_radius_um=MATCH_RADIUS_UM,
            counts=detection_counts(found, threshold, sampling),
            per_slide=[slide_row(slide, fields, threshold) for slide, fields in slides.items()],
            spread=spread_rows([rates(fields, threshold) for fields in slides.values()]),
            froc=_froc_points(found, areas_mm2),
            figure_free=figure_free(found, areas_mm2, threshold, sampling),
            average_precision=_average_precision(found, images),
            calibration=calibration(ranking.probabilities, ranking.hits),
        ),
        sub_tiles=None if lattice is None else lattice_summary(lattice, sampling),
        limits=list(limits),
    )


def evaluate_scores(
    lattice: LatticeScores,
    *,
    counts: DataCounts,
    data: DataDescription,
    models: Sequence[ModelVersion],
    title: str = "Evaluation",
    limits: Sequence[str] = (),
    unit: Unit = "slides",
    draws: int = 2000,
    seed: int = 0,
) -> EvaluationSummary:
    """Everything measured of a model that gives scores of sub-tiles and no boxes."""
    return EvaluationSummary(
        title=title,
        models=list(models),
        data=data,
        counts=counts,
        detection=None,
        sub_tiles=lattice_summary(lattice, BootstrapOptions(unit, draws, seed)),
        limits=list(limits),
    )


def _froc_points(found: Sequence[FieldDetections], areas_mm2: Sequence[float]) -> list[FrocPoint]:
    curve = froc(found, areas_mm2)
    columns = (curve.thresholds, curve.sensitivity, curve.per_mm2(), curve.per_image())
    return [
        FrocPoint(
            threshold=threshold,
            sensitivity=sensitivity,
            false_positives_per_mm2=per_mm2,
            false_positives_per_field=per_field,
        )
        for threshold, sensitivity, per_mm2, per_field in thin_curve(*columns)
    ]


def _average_precision(found: Sequence[FieldDetections], images: Sequence[ImageBoxes]) -> AveragePrecision:
    coco = coco_ap(images)
    return AveragePrecision(
        by_distance=average_precision_by_distance(found), coco_50_95=coco.ap_50_95, coco_50=coco.ap_50
    )
