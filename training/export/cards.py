"""The words and figures of the cards of a release."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.scoring.matching import MATCH_RADIUS_UM
from serving.wsi.modelcard import (
    DataSource,
    DetectionThreshold,
    ModelCard,
    ModelInput,
    ScreeningThreshold,
    SlideFigures,
)
from serving.wsi.research_use import RESEARCH_USE
from training.evaluation.leave_one_slide_out import TOLERATED_LOSS, Evaluation
from training.export.drafts import CANDIDATE_PROBABILITY, MERGE_RADIUS_UM
from training.models.det import NMS_IOU
from training.recipes.reading import read_recipe
from training.recipes.record import read_record
from training.recipes.registry import RecipeKind


@dataclass(frozen=True, slots=True)
class Drift:
    """What rounding the weights to half precision changes, on real windows."""

    score_mean: float
    score_max: float
    score_spread: float
    """Standard deviation of the scores themselves, for scale."""
    probability_max: float
    verified_max: float


@dataclass(frozen=True, slots=True)
class Origin:
    """What a release's runs state of themselves, for its cards. verifier_px : side of the verifier's window"""

    data: list[DataSource]
    verifier_px: int
    backbone: str

    @classmethod
    def of(cls, runs: Sequence[Path], verifier_px: int) -> "Origin":
        """Of the runs' folders; the cascade's first.

        Raises
        ------
        ValueError
            If one does not state what it learnt from.
        """
        for run in runs:
            if read_record(run) is None:
                raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
        return cls(data_of_runs(runs), verifier_px, read_recipe(runs[0]).backbone)


def data_of_runs(runs: Sequence[Path]) -> list[DataSource]:
    """What the weights of runs come from: initial weights, stores with counts and licence, recipes, seeds and code."""
    sources: list[DataSource] = []
    for run in runs:
        record, recipe = read_record(run), read_recipe(run)
        if record is None:
            continue
        sources.append(
            DataSource(
                name=f"{recipe.model_name()} by recipe {recipe_digest(recipe)}, seed {recipe.seed}, {record.code}",
                use=f"initial weights: {record.initial}",
                licence="see their source",
            )
        )
        patients = f"{len(record.train)} patients in all"
        for store in (*record.initial_data, *record.stores):
            counted = (
                f"{store.pictures:,} pictures of {store.patients:,} patients, {store.figures:,} figures, "
                f"{store.look_alikes:,} look-alikes"
            )
            where = "learnt from" if store in record.stores else "learnt from by the run that it started from"
            sources.append(
                DataSource(
                    name=f"{store.name} ({store.format}): {counted}", use=f"{where}; {patients}", licence=store.licence
                )
            )
    return list({(s.name, s.use): s for s in sources}.values())


def recipe_digest(recipe: RecipeKind) -> str:
    """SHA-256 of a recipe as its run states it, its first 12 digits."""
    return hashlib.sha256(recipe.model_dump_json(indent=1).encode()).hexdigest()[:12]


def _protocol(evaluation: Evaluation) -> str:
    return (
        f"{evaluation.data}: {evaluation.figures} figures in {evaluation.pictures} pictures of "
        f"{len(evaluation.per_slide)} patients, each judged by weights that saw nothing of that patient: where a folder of runs "
        "was judged, other weights than these. Scored by serving's own score_slide; one-to-one matching of centres within "
        f"{MATCH_RADIUS_UM} um; one detection threshold for all patients, chosen on these pictures, and beside it the F1 with the "
        "threshold that is best on the other patients. The interval draws pictures with replacement and is optimistic, since "
        "pictures of a patient are alike."
    )


_WHOLE_TILE = "; it runs over a tile enlarged by 128 / 125, where the cells of all its sub-tiles fall on one grid and are computed once"
_LIMITS = [
    "Probabilities are not calibrated to other laboratories; check the threshold on your own slides.",
    "Slides coarser than 0.35 um/px lack detail: detections there are unreliable.",
]


def _limits(evaluation: Evaluation) -> list[str]:
    judged = f"Judged on {evaluation.figures} figures of {len(evaluation.per_slide)} patients of {evaluation.data}"
    return [f"{judged}; other tissue, scanners and stains are not measured.", *_LIMITS]


def regns_card(
    version: str, evaluation: Evaluation, origin: Origin, drift: Drift, *, parameters: int, files: dict[str, str]
) -> ModelCard:
    """Card of Reg-NS."""
    return ModelCard(
        schema_version="1.0",
        name="reg-ns",
        version=version,
        task="screening",
        architecture=(
            f"{origin.backbone}; a 1 x 1 convolution gives each of 8 x 8 cells its share of the figures, and the sum over cells "
            "is the score s_t = sum of visible area fraction times agreement (Ji et al., Reg-NS)"
            + (_WHOLE_TILE if evaluation.whole_tile else "")
        ),
        input=ModelInput(
            window_px=250,
            stride_px=125,
            mpp=0.25,
            layout="tiles: uint8 (N, H, W, 3) RGB, H and W multiples of 125",
            whole_tile=evaluation.whole_tile,
        ),
        output="scores: float32 (N, H / 125 - 1, W / 125 - 1), 0 for no figure, about 1 for a whole one; may exceed 1",
        weights=(
            "float16 behind a cast, float32 arithmetic; against float32 weights on real windows scores move by "
            f"{drift.score_mean:.1e} on average and {drift.score_max:.1e} at most, where their spread is {drift.score_spread:.2f}"
        ),
        parameters=parameters,
        screening_threshold=ScreeningThreshold(
            score=evaluation.screening_threshold,
            how_chosen=f"the highest of those tried whose F1 and average precision are within {TOLERATED_LOSS} of the best",
            data=evaluation.data,
            achieved=(
                f"{evaluation.det_windows_share:.1%} of sub-tiles pass: {evaluation.regns_tpr:.1%} of those that hold a "
                f"figure's centre, {evaluation.regns_fpr:.1%} of the others"
            ),
        ),
        data=origin.data,
        evaluation=_protocol(evaluation) + " Figures are of the cascade of all three models.",
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_limits(evaluation),
        research_use=RESEARCH_USE,
        files=files,
    )


def det_card(
    version: str, evaluation: Evaluation, origin: Origin, drift: Drift, *, parameters: int, files: dict[str, str]
) -> ModelCard:
    """Card of Det."""
    low, high = evaluation.f1_det_alone_interval
    return ModelCard(
        schema_version="1.0",
        name="det",
        version=version,
        task="detection",
        architecture=(
            f"Faster R-CNN on a feature pyramid of {origin.backbone} (strides 4, 8, 16; 128 channels), anchors of 16 to 72 px, "
            "60 proposals, batched; on the trunk of the verifier"
        ),
        input=ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="windows: uint8 (N, 250, 250, 3) RGB"),
        output="boxes float32 (N, K, 4) xyxy window px; probabilities float32 (N, K); counts int64 (N), rows behind it are 0",
        weights=(
            "float16 behind a cast, float32 arithmetic; against float32 weights on real windows probabilities move by "
            f"{drift.probability_max:.1e} at most"
        ),
        parameters=parameters,
        detection_threshold=DetectionThreshold(
            probability=evaluation.det_threshold_alone,
            how_chosen="highest F1 of Det behind the screening and without a verifier; not used where a verifier judges",
            data=evaluation.data,
            achieved=f"F1 {evaluation.f1_det_alone:.3f} (95 % interval {low:.2f} to {high:.2f})",
        ),
        nms_iou=NMS_IOU,
        merge_radius_um=MERGE_RADIUS_UM,
        data=origin.data,
        evaluation=_protocol(evaluation),
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_limits(evaluation),
        research_use=RESEARCH_USE,
        files=files,
    )


def verifier_card(
    version: str, evaluation: Evaluation, origin: Origin, drift: Drift, *, parameters: int, files: dict[str, str]
) -> ModelCard:
    """Card of the verifier, whose threshold is the cascade's."""
    low, high = evaluation.f1_interval
    return ModelCard(
        schema_version="1.0",
        name="verifier",
        version=version,
        task="verification",
        architecture=(
            f"{origin.backbone} up to stride 16; maps of strides 8 and 16 averaged, one linear layer; sees the disc of "
            f"{origin.verifier_px / 4:g} um around a candidate; mean logit of the eight symmetries of the square"
        ),
        input=ModelInput(
            window_px=origin.verifier_px,
            stride_px=origin.verifier_px,
            mpp=0.25,
            layout=f"windows: uint8 (N, {origin.verifier_px}, {origin.verifier_px}, 3) RGB",
        ),
        output="probabilities: float32 (N), of a mitotic figure in the middle of the window",
        weights=(
            "float16 behind a cast, float32 arithmetic; against float32 weights on real windows probabilities move by "
            f"{drift.verified_max:.1e} at most"
        ),
        parameters=parameters,
        detection_threshold=DetectionThreshold(
            probability=evaluation.detection_threshold,
            how_chosen="highest F1 over all slides together",
            data=evaluation.data,
            achieved=f"F1 {evaluation.f1:.3f} (95 % interval {low:.2f} to {high:.2f}), precision {evaluation.precision:.3f}, "
            f"recall {evaluation.recall:.3f}",
        ),
        candidate_probability=CANDIDATE_PROBABILITY,
        data=origin.data,
        evaluation=_protocol(evaluation),
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_limits(evaluation),
        research_use=RESEARCH_USE,
        files=files,
    )


def _per_slide(evaluation: Evaluation) -> list[SlideFigures]:
    return [
        SlideFigures(
            slide=s.slide,
            true_figures=s.true_figures,
            precision=round(s.precision, 4),
            recall=round(s.recall, 4),
            f1=round(s.f1, 4),
        )
        for s in evaluation.per_slide
    ]


def _figures(evaluation: Evaluation) -> dict[str, float | str]:
    low, high = evaluation.f1_interval
    return {
        "f1_cascade": round(evaluation.f1, 4),
        "f1_cascade_95_interval": f"{low:.3f} to {high:.3f}",
        "precision_cascade": round(evaluation.precision, 4),
        "recall_cascade": round(evaluation.recall, 4),
        "average_precision_cascade": round(evaluation.average_precision, 4),
        "f1_without_verifier": round(evaluation.f1_det_alone, 4),
        "tpr_reg_ns_sub_tiles": round(evaluation.regns_tpr, 4),
        "fpr_reg_ns_sub_tiles": round(evaluation.regns_fpr, 4),
        "recall_of_candidates": round(evaluation.candidate_recall, 4),
        "f1_threshold_chosen_on_the_other_slides": round(evaluation.f1_threshold_of_others, 4),
        **{f"f1_{s.slide}_own_threshold": round(s.f1_own_threshold, 4) for s in evaluation.per_slide},
    }
