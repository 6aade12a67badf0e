"""Weights under evaluation as serving would run them: exported, with cards that state geometry and thresholds to try."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.core.card_parts import DetectionThreshold, ScreeningThreshold
from serving.core.modelcard import ModelCard, load_card
from serving.core.modelinput import ModelInput
from serving.core.words import RESEARCH_USE
from serving.scoring.loading import load_cascade
from serving.scoring.onnx_detector import OnnxDetector
from training.evaluation.judgement import ModelName
from training.export.graphs import WholeTileRegNSGraph, det_graph, regns_graph, verifier_graph
from training.export.onnx_files import export_det, export_regns, export_verifier
from training.export.parts import CascadeParts
from training.export.publishing import hashes
from training.models.det import NMS_IOU
from training.models.verifier import WINDOW_PX as VERIFIER_PX

MERGE_RADIUS_UM = 6.0
"""Centres of two figures are rarely nearer: a figure is 7 to 15 um across."""
DRAFT_VERSION = "0.0.0"
CANDIDATE_PROBABILITY = 0.05
"""Low: what Det is unsure of is the verifier's to judge."""


def draft_detector(
    cascade: Path,
    verifiers: Sequence[Path],
    screener: Path | None = None,
    *,
    provider: str = "CPUExecutionProvider",
) -> OnnxDetector:
    """The models of a cascade recipe's run, with verifiers and a screener where there are some; every sub-tile passes."""
    runs: dict[ModelName, Sequence[Path]] = {
        "reg-ns": [screener or cascade],
        "det": [cascade],
        "verifier": list(verifiers),
    }
    return draft_cascade(CascadeParts(runs), screening=0.0, provider=provider)


def draft_cascade(
    parts: CascadeParts, *, screening: float | None = None, provider: str = "CPUExecutionProvider"
) -> OnnxDetector:
    """The models of runs, exported in float32, and those that stay, loaded by an execution provider.

    screening : Reg-NS score from which a sub-tile is passed on; by default that of the card of a Reg-NS that stays

    Raises
    ------
    FileNotFoundError
        If a run is not finished.
    ValueError
        If one is a run of another kind of recipe, or no screening score is known.
    """
    if screening is None and "reg-ns" not in parts.kept:
        raise ValueError("a Reg-NS of a run states no score from which a sub-tile is passed on: give one (--screening)")
    with tempfile.TemporaryDirectory() as scratch:
        folders: dict[str, Path] = {
            name: parts.kept[name] if name in parts.kept else _draft(name, parts.runs[name], Path(scratch))
            for name in parts.names
        }
        if screening is not None:
            folders["reg-ns"] = _with_screening_score(folders["reg-ns"], screening, Path(scratch) / "screened")
        return load_cascade(folders, providers=[provider])


def _draft(name: ModelName, runs: Sequence[Path], scratch: Path) -> Path:
    """A version folder of runs, below `scratch`."""
    folder = scratch / name / DRAFT_VERSION
    folder.mkdir(parents=True)
    regns, det, verifier = draft_cards()
    if name == "reg-ns":
        (run,) = runs
        graph = regns_graph(run)
        export_regns(graph, folder / "model.onnx")
        card = regns.model_copy(
            update={"input": regns.input.model_copy(update={"whole_tile": isinstance(graph, WholeTileRegNSGraph)})}
        )
    elif name == "det":
        (run,) = runs
        export_det(det_graph(run), folder / "model.onnx")
        card = det
    else:
        judges = verifier_graph(runs)
        export_verifier(judges, folder / "model.onnx")
        side = {"window_px": judges.window_px, "stride_px": judges.window_px}
        card = verifier.model_copy(update={"input": verifier.input.model_copy(update=side)})
    (folder / "card.json").write_text(card.model_copy(update={"files": hashes(folder)}).model_dump_json())
    return folder


def _with_screening_score(version: Path, score: float, target: Path) -> Path:
    """A copy of a Reg-NS whose card states another screening score."""
    shutil.copytree(version, target)
    card = load_card(version)
    if card.screening_threshold is None:
        raise ValueError(f"{version} holds a {card.task} model, which does not screen")
    threshold = card.screening_threshold.model_copy(update={"score": score})
    (target / "card.json").write_text(card.model_copy(update={"screening_threshold": threshold}).model_dump_json())
    return target


def draft_cards() -> tuple[ModelCard, ModelCard, ModelCard]:
    """Cards of weights under evaluation: real geometry, thresholds that are nobody's choice yet, no figures."""
    geometry = ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="uint8 RGB")
    common: dict[str, Any] = {
        "schema_version": "1.0",
        "version": DRAFT_VERSION,
        "input": geometry,
        "weights": "float32, under evaluation",
        "parameters": 1,
        "data": [],
        "evaluation": "none yet",
        "per_slide": [],
        "figures": {},
        "limits": [],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }
    chosen: dict[str, str] = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
    undecided = DetectionThreshold(probability=0.5, **chosen)
    return (
        ModelCard(
            **common,
            name="reg-ns",
            task="screening",
            architecture="draft",
            output="scores",
            screening_threshold=ScreeningThreshold(score=0.0, **chosen),
        ),
        ModelCard(
            **common,
            name="det",
            task="detection",
            architecture="draft",
            output="boxes",
            detection_threshold=undecided,
            nms_iou=NMS_IOU,
            merge_radius_um=MERGE_RADIUS_UM,
        ),
        ModelCard(
            **{
                **common,
                "input": ModelInput(window_px=VERIFIER_PX, stride_px=VERIFIER_PX, mpp=0.25, layout="uint8 RGB"),
            },
            name="verifier",
            task="verification",
            architecture="draft",
            output="probabilities",
            detection_threshold=undecided,
            candidate_probability=CANDIDATE_PROBABILITY,
        ),
    )
