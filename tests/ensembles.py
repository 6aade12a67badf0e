"""Cards of ensembles, and detectors that are fused without a file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.core.card_parts import DetectionThreshold
from serving.core.fusion import FusedDetector, FusedModel, Fusion, FusionMethod
from serving.core.modelcard import ModelCard, load_card
from serving.scoring.detector import SingleDetector, list_released_cards
from tests.fakes import make_alone_card

CHOSEN = {"how_chosen": "by hand", "data": "generated tissue", "achieved": "not measured"}


@dataclass(slots=True)
class Ensemble:
    """Detectors that are there already."""

    ensemble_card: ModelCard
    members: Mapping[str, SingleDetector]
    provider: str = "CPUExecutionProvider"


def make_rule(
    models: Mapping[str, Sequence[FusedModel]],
    *,
    method: FusionMethod = "mean",
    weights: Sequence[float] | None = None,
    floor: float = 0.05,
    distance_um: float = 7.5,
) -> Fusion:
    """A fusion of detectors by name."""
    detectors = [
        FusedDetector(name=name, models=list(parts), weight=weight, floor=floor)
        for (name, parts), weight in zip(models.items(), weights or [1.0] * len(models), strict=True)
    ]
    return Fusion(method=method, distance_um=distance_um, detectors=detectors, speed="not measured", **CHOSEN)


def make_ensemble_card(rule: Fusion, *, threshold: float = 0.5, version: str = "0.0.1", **changed: Any) -> ModelCard:
    """A valid card of an ensemble."""
    stated = {
        "name": "ensemble",
        "task": "fusion",
        "version": version,
        "architecture": "weighted fusion",
        "fusion": rule,
        "files": {},
        "merge_radius_um": None,
        "nms_iou": None,
        "least_probability": None,
        "licence": None,
        "detection_threshold": DetectionThreshold(probability=threshold, **CHOSEN),
    }
    base = make_alone_card().model_dump()
    base["input"]["overlap_px"] = None
    return ModelCard.model_validate(base | stated | changed)


def fuse_detectors(members: Mapping[str, SingleDetector], **stated: Any) -> Ensemble:
    """An ensemble of detectors that know no files."""
    cards = {name: list_released_cards(member) for name, member in members.items()}
    models = {
        name: [FusedModel(name=c.name, version=c.version, card="0" * 64) for c in own] for name, own in cards.items()
    }
    threshold = stated.pop("threshold", 0.5)
    return Ensemble(make_ensemble_card(make_rule(models, **stated), threshold=threshold), members)


def write_ensemble(root: Path, members: Mapping[str, Sequence[Path]], **stated: Any) -> Path:
    """Write an ensemble of version folders below `root`; gives its own folder."""
    models: dict[str, list[FusedModel]] = {}
    for name, folders in members.items():
        models[name] = []
        for folder in folders:
            card = load_card(folder)
            digest = hashlib.sha256((folder / "card.json").read_bytes()).hexdigest()
            models[name].append(FusedModel(name=card.name, version=card.version, card=digest))
    card_keys = {key: stated.pop(key) for key in ("threshold", "version", "probability_calibration") if key in stated}
    card = make_ensemble_card(make_rule(models, **stated), **card_keys)
    folder = root / card.name / card.version
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(card.model_dump_json())
    return folder
