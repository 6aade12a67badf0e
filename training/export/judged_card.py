"""What a judgement across groups states in the card of the model that speaks last."""

from typing import Any

from serving.wsi.modelcard import DetectionThreshold, FigureCount, ModelCard, ProbabilityCalibration, SlideFigures
from training.evaluation.drawing import shown
from training.evaluation.judgement import JudgedSource, Judgement
from training.evaluation.judgement_tables import card_figures, measured


def judged_card(card: ModelCard, judgement: Judgement) -> ModelCard:
    """The card with threshold, calibration and count rule that were chosen on all groups, and the figures of the folds.

    Raises
    ------
    ValueError
        If the card is of a screening model, whose word is not what was judged.
    """
    if card.task == "screening":
        raise ValueError(f"{card.name} screens; state a judgement on the card of the verifier, or of Det without one")
    release, pooled = judgement.release, judgement.pooled
    chosen: dict[str, str] = {
        "how_chosen": f"on all {len(release.chosen_on)} groups, as for each fold on the others",
        "data": ", ".join(source.name for source in judgement.sources),
    }
    quarter = f"{pooled.expected_within_quarter} of {len(pooled.groups)} groups within 25 %"
    ece = f"{shown(pooled.counted.expected_calibration_error)} of what counts"
    changed: dict[str, Any] = {
        "detection_threshold": DetectionThreshold(
            probability=release.threshold,
            how_chosen=f"rule {release.threshold_rule}, {chosen['how_chosen']}; of calibrated probability",
            data=chosen["data"],
            achieved=f"F1 {measured(pooled.f1)} in cross-validation",
        ),
        "probability_calibration": ProbabilityCalibration(
            map=release.calibration_map,
            how_chosen=f"{release.calibration}, {chosen['how_chosen']}",
            data=chosen["data"],
            achieved=f"expected calibration error {ece}, {shown(pooled.candidates.expected_calibration_error)} of all "
            "candidates, in cross-validation",
        ),
        "figure_count": FigureCount(
            factor=release.count_factor,
            spread=release.count_spread,
            **chosen,
            achieved=f"{quarter}, {pooled.expected_covered} in its interval, in cross-validation",
        ),
        "evaluation": " ".join(
            [
                f"Cross-validation by group: {len(judgement.folds)} folds over {len(pooled.groups)} groups, each judged by weights, "
                f"threshold and calibration of the others; one-to-one within {judgement.matching_radius_um:g} um; intervals draw "
                "groups.",
                *judgement.limits,
                *(_sentence(source) for source in (pooled, *judgement.sources)),
            ]
        ),
        "per_slide": [
            SlideFigures(
                slide=f"{group.group} ({source.name})",
                true_figures=group.figures,
                # A rate without cases counts as 0, as in every card.
                precision=group.precision or 0.0,
                recall=group.recall or 0.0,
                f1=group.f1 or 0.0,
            )
            for source in judgement.sources
            for group in source.groups
        ],
        "figures": {**card.figures, **card_figures(judgement)},
    }
    return ModelCard.model_validate({**card.model_dump(), **changed})


def _sentence(source: JudgedSource) -> str:
    return (
        f"{source.name}: F1 {measured(source.f1)}, average precision {measured(source.average_precision)}, "
        f"{measured(source.false_per_mm2, 2)} false figures per mm2, {measured(source.look_alikes_taken)} of the marked "
        f"look-alikes taken, counts within 25 % in {source.count_within_quarter} of {len(source.groups)} groups."
    )
