"""What `evaluate` can judge: a run of one model class, a run of the cascade, or a folder of exported models."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from serving.scoring.detector import Detector
from serving.scoring.onnx_detector import load_detector
from serving.wsi.detections import Detections
from training.evaluation.detector_alone import Detect, DetectorAlone, torch_detect
from training.evaluation.sub_tiles import BC_THRESHOLDS, DET_THRESHOLDS, REG_THRESHOLDS
from training.evaluation.summary import ModelVersion
from training.export.drafts import draft_detector
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import ModelName, SubTileNet
from training.recipes.runs import load_run, read_patients

Score = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Scores of windows, uint8, (N, 250, 250, 3) -> float32, (N,)."""

TOLD_APART_AT: dict[ModelName, float] = {"BC": 0.5, "Reg": 0.6, "Reg-NS": 0.2}
"""Threshold at which slides are told apart: the paper's best in Table 4."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to evaluate.

    score : of sub-tiles, None of a detector, whose score is its highest probability
    detect : boxes in sub-tiles, None of a model without
    whole : how it scores whole pictures through serving, None of a model that places no boxes
    thresholds : at which sub-tiles are judged; told_apart_at : the one at which slides are told apart
    detection_threshold : that the model's card states; None where nobody chose one yet
    seen : what the weights saw, in words; patients : those to leave out
    """

    models: tuple[ModelVersion, ...]
    score: Score | None
    detect: Detect | None
    whole: Detector | None
    thresholds: Sequence[float]
    told_apart_at: float
    detection_threshold: float | None
    seen: str
    patients: frozenset[str] = frozenset()


def subject_of(path: Path) -> Subject:
    """What lies in a folder.

    Raises
    ------
    FileNotFoundError
        If it is neither a finished run nor a folder of models.
    """
    if (path / "recipe.json").is_file():
        return _of_run(path)
    if any(path.glob("*/*/card.json")):
        return _of_models(path)
    if (path / "model.pt").is_file():
        return _of_cascade(path)
    raise FileNotFoundError(f"{path} is neither a finished run nor a folder of <name>/<version>/card.json")


def _of_run(run: Path) -> Subject:
    recipe, model = load_run(run)
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    versions = (ModelVersion(name=recipe.model, version=run.name, sha256=_sha256(run / "model.pt")),)
    patients = read_patients(run)
    seen = (
        "not stated: the run does not say whom it saw"
        if patients is None
        else f"none of these patients; it learnt from {len(patients.train)} others of {patients.data}, and "
        f"{len(patients.validation)} chose its weights"
    )
    left_out = frozenset() if patients is None else frozenset({*patients.train, *patients.validation})
    if isinstance(model, SubTileDetector):
        detect = torch_detect(model)
        return Subject(
            versions, None, detect, DetectorAlone.of(detect), DET_THRESHOLDS, 0.95, None, seen, left_out
        )  # fmt: skip
    thresholds = BC_THRESHOLDS if recipe.model == "BC" else REG_THRESHOLDS
    told = TOLD_APART_AT[recipe.model]
    return Subject(versions, _torch_score(model), None, None, thresholds, told, None, seen, left_out)


def _of_models(root: Path) -> Subject:
    return _of_detector(load_detector(root), "see the cards' lists of data; nothing is left out")


def _of_cascade(run: Path) -> Subject:
    detector = draft_detector(run / "model.pt", [])
    return _of_detector(detector, "not stated: a run of `fit` does not say whom it saw")


def _of_detector(detector: Detector, seen: str) -> Subject:
    """A cascade: its screening scores sub-tiles, both together judge pictures."""
    screening, detection = detector.screening_card, detector.detection_card
    trained = detection.version != "0.0.0"
    threshold = detection.detection_threshold.probability if detection.detection_threshold and trained else None
    return Subject(
        tuple(
            ModelVersion(name=c.name, version=c.version, sha256=c.sha256() if trained else None)
            for c in (screening, detection)
        ),
        lambda windows: detector.screen(windows)[:, 0, 0],
        detector.detect,
        detector,
        REG_THRESHOLDS,
        screening.screening_threshold.score if screening.screening_threshold and trained else 0.35,
        threshold,
        seen,
    )


def _torch_score(model: SubTileNet) -> Score:
    device = next(model.parameters()).device

    @torch.inference_mode()
    def score(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        output: torch.Tensor = model(torch.from_numpy(windows).to(device).permute(0, 3, 1, 2).float())
        return output.float().cpu().numpy()

    return score


def highest(found: Sequence[Detections]) -> NDArray[np.float32]:
    """A detector's score of each sub-tile: its highest probability, 0 without a box (paper, Section 3.2)."""
    return np.asarray([max(f.probabilities, default=0.0) for f in found], np.float32)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
