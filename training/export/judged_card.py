"""What a judgement across groups states in the card of the model that speaks last."""

from typing import Any

from serving.core.card_parts import DetectionThreshold, FigureCount, ProbabilityCalibration, SlideFigures
from serving.core.modelcard import ModelCard
from training.evaluation.drawing import format_number
from training.evaluation.judge import OF_FOLDS
from training.evaluation.judgement import JudgedSource, Judgement
from training.evaluation.judgement_tables import card_figures, format_measured

POOR_PRECISION = 0.5


def make_judged_card(card: ModelCard, judgement: Judgement) -> ModelCard:
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
    ece = f"{format_number(pooled.counted.expected_calibration_error)} of what counts"
    changed: dict[str, Any] = {
        "detection_threshold": DetectionThreshold(
            probability=release.threshold,
            how_chosen=f"rule {release.threshold_rule}, {chosen['how_chosen']}; of calibrated probability",
            data=chosen["data"],
            achieved=f"F1 {format_measured(pooled.f1)} in cross-validation",
        ),
        "probability_calibration": ProbabilityCalibration(
            map=release.calibration_map,
            how_chosen=f"{release.calibration}, {chosen['how_chosen']}",
            data=chosen["data"],
            achieved=f"expected calibration error {ece}, {format_number(pooled.candidates.expected_calibration_error)} of all "
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
                *_of_which(judgement),
                *(_sentence(source) for source in (pooled, *judgement.sources)),
            ]
        ),
        "per_slide": per_group(judgement),
        "figures": {**card.figures, **card_figures(judgement)},
    }
    if card.task == "verification" and judgement.cascade.detector_share is not None:
        changed["detector_share"] = judgement.cascade.detector_share
    return ModelCard.model_validate({**card.model_dump(), **changed})


def summarise_judgement(judgement: Judgement, last: str) -> str:
    """What the card of a model says that does not speak last. last : name of the one that does."""
    pooled, names = judgement.pooled, ", ".join(source.name for source in judgement.sources)
    return (
        f"The cascade was judged as a whole, by cross-validation over {len(pooled.groups)} groups of {names}: F1 "
        f"{format_measured(pooled.f1)}, average precision {format_measured(pooled.average_precision)} of all sources together; the card of "
        f"{last} has the protocol and each source. {OF_FOLDS}"
    )


def list_limits(judgement: Judgement, seen: frozenset[str]) -> list[str]:
    """What the judgement does not show, and where it is poor. seen : patients that the released weights saw."""
    pooled, names = judgement.pooled, ", ".join(source.name for source in judgement.sources)
    groups = {group.group for group in pooled.groups}
    off = len(groups) - pooled.count_within_quarter
    limits = [
        f"Judged on {pooled.figures} figures of {len(groups)} groups of {names}; other tissue, scanners and stains are not "
        "measured.",
        f"Counts are off by more than a quarter in {off} of {len(groups)} groups.",
        *(
            f"Of {source.name} more than half of what counts is no figure: precision {format_number(source.precision.value)}."
            for source in judgement.sources
            if source.precision.value is not None and source.precision.value < POOR_PRECISION
        ),
        "Slides coarser than 0.35 um/px lack detail: detections there are unreliable.",
    ]
    if seen and (unseen := sorted(groups - seen)):
        limits.append(f"The weights that were made for this release learnt nothing from {', '.join(unseen)}.")
    return limits


def per_group(judgement: Judgement) -> list[SlideFigures]:
    """Rates of each group of each source."""
    return [
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
    ]


def _of_which(judgement: Judgement) -> list[str]:
    """What the folds' files state of their weights, as sentences."""
    cascade, said = judgement.cascade, []
    if cascade.models:
        said.append(f"The folds' detections were of {'; '.join(cascade.models)}.")
    if cascade.screening is not None:
        said.append(f"Sub-tiles were screened at {cascade.screening:g}.")
    return said


def _sentence(source: JudgedSource) -> str:
    return (
        f"{source.name}: F1 {format_measured(source.f1)}, average precision {format_measured(source.average_precision)}, "
        f"{format_measured(source.false_per_mm2, 2)} false figures per mm2, {format_measured(source.look_alikes_taken)} of the marked "
        f"look-alikes taken, counts within 25 % in {source.count_within_quarter} of {len(source.groups)} groups."
    )
