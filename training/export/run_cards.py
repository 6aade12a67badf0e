"""Cards of exported runs: thresholds by a stated rule on validation data, and what was measured there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.card_parts import DataSource, DetectionThreshold, ScreeningThreshold, SlideFigures
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from serving.evaluation.metrics import rates
from serving.evaluation.ranking import rank
from serving.evaluation.threshold_rules import THRESHOLD_RULES, highest_with_recall, sub_tile_ranking
from serving.scoring.matching import MATCH_RADIUS_UM
from training.data.sub_tiles import WINDOW_PX, positives, read_sub_tile
from training.evaluation.evaluate import BATCH
from training.evaluation.served_analysis import detect_in_picture, group_by_slide
from training.evaluation.sub_tiles import sub_tile_rates
from training.evaluation.subjects import DetectorAlone
from training.export.draft_models import MERGE_RADIUS_UM
from training.export.onnx_graph import OnnxGraph, ValidationData
from training.export.origins import data_of_runs
from training.models.heads.registry import HEADS
from training.recipes.sub_tiles import SubTileRecipe

_LIMITS = [
    "Measured on the pictures that also chose its weights and its threshold: other pictures will give lower figures.",
    "Probabilities and scores are not calibrated to other laboratories; check the threshold on your own slides.",
]
TORCHVISION_NMS_IOU = 0.5
"""torchvision's box_nms_thresh, which the study's detectors keep."""


@dataclass(frozen=True, slots=True)
class StorageDrift:
    """What the storage changes: |score - score in float32| of `windows` validation sub-tiles. spread : sd of the scores."""

    storage: str
    windows: int
    mean: float
    largest: float
    spread: float

    @property
    def words(self) -> str:
        """For people."""
        form = {
            "fp32": "float32",
            "fp16": "float16 behind a cast, float32 arithmetic",
            "int8": "int8 a channel, uint8 activations (QDQ); first convolution and heads float32",
        }[self.storage]
        return (
            f"{form}; against float32 on {self.windows} validation sub-tiles scores move by {self.mean:.1e} on average and "
            f"{self.largest:.1e} at most, where their standard deviation is {self.spread:.2g}"
        )


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """What a card states of an exported run, beside its figures."""

    name: str
    version: str
    recipe: SubTileRecipe
    run: Path
    parameters: int
    drift: StorageDrift
    files: dict[str, str]


def screening_card(
    exported: ExportedRun, graph: OnnxGraph, validation: ValidationData, *, rule: str | None, recall: float
) -> ModelCard:
    """Card of a model that scores sub-tiles.

    rule : name of a threshold rule; None for the highest threshold, in steps of 0.01, that the share `recall` of the positive
    sub-tiles reaches
    """
    table = validation.table
    shown = positives(table, "centre")
    scores = _scores(graph, validation)
    ranking = sub_tile_ranking(scores, shown)
    threshold = highest_with_recall(ranking, recall) if rule is None else THRESHOLD_RULES[rule](ranking)
    how = f"the highest step of 0.01 that {recall:.0%} of the sub-tiles with a figure's centre reach"
    at = sub_tile_rates(scores, shown, [threshold])[0]
    return ModelCard(
        **_common(exported, validation),
        task="screening",
        architecture=f"{exported.recipe.model} (Ji et al.): {exported.recipe.backbone}, last layer replaced{_describe_resizing(exported)}",
        input=_input("tiles: uint8 (N, H, W, 3) RGB, H and W multiples of 125"),
        output=f"scores: float32 (N, H / 125 - 1, W / 125 - 1), {HEADS[exported.recipe.head_name].output}",
        screening_threshold=ScreeningThreshold(
            score=threshold,
            how_chosen=how if rule is None else f"by the rule {rule}, on sub-tiles",
            data=validation.name,
            achieved=f"TPR {at.tpr:.1%}, FPR {at.fpr:.1%} of {len(table):,} sub-tiles",
        ),
        per_slide=[],
        figures=_figures(exported) | {"tpr": round(at.tpr, 4), "fpr": round(at.fpr, 4)},
    )


def detection_card(
    exported: ExportedRun, graph: OnnxGraph, validation: ValidationData, *, rule: str | None, recall: float
) -> ModelCard:
    """Card of a model that boxes figures: its threshold by a rule over whole validation pictures, looked at everywhere.

    rule : name of a threshold rule; None for the highest F1. recall : without meaning here
    """
    del recall
    detector = DetectorAlone.from_detect(graph.detect)
    found = [detect_in_picture(detector, picture, validation.root) for picture in validation.table.pictures]
    threshold = THRESHOLD_RULES[rule or "best-f1"](rank(found)) if any(len(f.probabilities) for f in found) else 0.5
    total = rates(found, threshold)
    per_slide = {slide: rates(fields, threshold) for slide, fields in group_by_slide(found).items()}
    return ModelCard(
        **_common(exported, validation),
        task="detection",
        architecture=f"{exported.recipe.model} (Ji et al.): torchvision's Faster R-CNN on a feature pyramid of "
        f"{exported.recipe.backbone}, batched{_describe_resizing(exported)}",
        input=_input("windows: uint8 (N, 250, 250, 3) RGB"),
        output="boxes float32 (N, K, 4) xyxy window px; probabilities float32 (N, K); counts int64 (N), rows behind it are 0",
        detection_threshold=DetectionThreshold(
            probability=threshold,
            how_chosen=f"{'highest F1' if rule is None else f'by the rule {rule}'} over whole pictures, every sub-tile looked at",
            data=validation.name,
            achieved=f"F1 {total.f1:.3f}, precision {total.precision:.3f}, recall {total.recall:.3f}",
        ),
        nms_iou=TORCHVISION_NMS_IOU,
        merge_radius_um=MERGE_RADIUS_UM,
        per_slide=[
            SlideFigures(
                slide=slide,
                true_figures=sum(len(f.truth) for f in group_by_slide(found)[slide]),
                precision=round(at.precision, 4),
                recall=round(at.recall, 4),
                f1=round(at.f1, 4),
            )
            for slide, at in per_slide.items()
        ],
        figures=_figures(exported) | {"f1": round(total.f1, 4)},
    )


def _scores(graph: OnnxGraph, validation: ValidationData) -> NDArray[np.float32]:
    """Score of every validation sub-tile, in the order of the table."""
    table, parts = validation.table, []
    for start in range(0, len(table), BATCH):
        indices = range(start, min(start + BATCH, len(table)))
        parts.append(graph.scores(np.stack([read_sub_tile(validation.root, table, i) for i in indices])))
    return np.concatenate(parts)


def _common(exported: ExportedRun, validation: ValidationData) -> dict[str, Any]:
    return {
        "schema_version": "1.0",
        "name": exported.name,
        "version": exported.version,
        "weights": exported.drift.words,
        "parameters": exported.parameters,
        "data": [
            *data_of_runs([exported.run]),
            DataSource(name=validation.name, use="choice of weights and threshold", licence="see the stores above"),
        ],
        "evaluation": "Pictures of the patients that the run was validated on, none of whom it learnt from. One-to-one "
        f"matching of centres within {MATCH_RADIUS_UM} um; a sub-tile is positive if a figure's centre is inside.",
        "limits": _LIMITS,
        "research_use": RESEARCH_USE,
        "files": exported.files,
    }


def _input(layout: str) -> ModelInput:
    return ModelInput(window_px=WINDOW_PX, stride_px=WINDOW_PX // 2, mpp=0.25, layout=layout)


def _describe_resizing(exported: ExportedRun) -> str:
    side = exported.recipe.side
    return "" if side == WINDOW_PX else f"; the graph resizes sub-tiles to {side} px"


def _figures(exported: ExportedRun) -> dict[str, float | str]:
    drift = exported.drift
    return {
        "resized_to_px": float(exported.recipe.side),
        "storage": drift.storage,
        "drift_mean": float(f"{drift.mean:.3g}"),
        "drift_largest": float(f"{drift.largest:.3g}"),
        "score_sd": float(f"{drift.spread:.3g}"),
    }
