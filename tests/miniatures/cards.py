"""The cards of the miniatures, and their folders."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from serving.core.card_parts import DetectionThreshold
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput, Normalisation
from serving.core.words import RESEARCH_USE
from tests.fields import draw_field
from tests.quick_models import restate, run_sample

HERE = Path(__file__).parent
POINTS_MPP, POINTS_PX, POINTS_OVERLAP = 0.5, 256, 64
BOXES_MPP, BOXES_PX, BOXES_OVERLAP = 0.4, 224, 64
CHOSEN = {"how_chosen": "by hand", "data": "generated tissue", "achieved": "not measured"}


def make_points_card(**changed: Any) -> ModelCard:
    """Of the miniature that gives a map."""
    return _make_card(
        "points", POINTS_MPP, POINTS_PX, POINTS_OVERLAP, {"peak_distance_um": 6.0, "point_box_um": 12.0} | changed
    )


def make_boxes_card(**changed: Any) -> ModelCard:
    """Of the miniature that gives boxes, which are suppressed outside its graph."""
    return _make_card("boxes", BOXES_MPP, BOXES_PX, BOXES_OVERLAP, {"nms_iou": 0.3} | changed)


def write_miniature(root: Path, card: ModelCard) -> Path:
    """Write a version of a miniature below `root`, with its parity sample; gives its folder."""
    folder = root / card.name / card.version
    folder.mkdir(parents=True)
    shutil.copyfile(HERE / f"{card.name}.onnx", folder / "model.onnx")
    (folder / "parity.npz").write_bytes(_make_sample(card.name, card.input.window_px))
    return restate(folder, card)


@cache
def _make_sample(name: str, side: int) -> bytes:
    windows = np.stack([draw_field(seed=seed, width=side, height=side, mitoses_per_mm2=300).pixels for seed in (5, 6)])
    return run_sample(HERE / f"{name}.onnx", "windows", windows)


def _make_card(name: str, mpp: float, window: int, overlap: int, changed: dict[str, Any]) -> ModelCard:
    stated: dict[str, Any] = {
        "schema_version": "1.0",
        "name": name,
        "version": "0.0.1",
        "task": "detection",
        "architecture": "five convolutions",
        "input": ModelInput(
            window_px=window,
            stride_px=window - overlap,
            overlap_px=overlap,
            mpp=mpp,
            layout="windows: uint8 (n, side, side, 3), RGB",
            normalisation=Normalisation(scale=255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        ),
        "output": name,
        "weights": "float32",
        "parameters": 28_000,
        "detection_threshold": DetectionThreshold(probability=0.5, **CHOSEN),
        "merge_radius_um": 6.0,
        "least_probability": 0.2,
        "licence": "Apache-2.0",
        "source": "tests/miniatures/train.py",
        "data": [],
        "evaluation": "none",
        "per_slide": [],
        "figures": {},
        "limits": ["finds figures of generated tissue alone"],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }
    return ModelCard.model_validate(stated | changed)
