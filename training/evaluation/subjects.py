"""What `evaluate` can judge: a run of `train`, any detector of sub-tiles alone, or a folder of exported models."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.scoring.detector import Detector, counting_threshold, list_cards
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from training.evaluation.summary import ModelVersion
from training.export.draft_models import DRAFT_VERSION, draft_cards, draft_detector
from training.models.classes import MODELS
from training.models.heads.registry import HEADS
from training.models.heads.scores import REG_THRESHOLDS
from training.models.sub_tile_detector import SubTileDetector
from training.recipes.cascade import CascadeRecipe
from training.recipes.reading import RECIPE_FILE
from training.recipes.record import read_record
from training.recipes.runs import load_run
from training.recipes.sub_tiles import SubTileRecipe

Detect = Callable[[NDArray[np.uint8]], list[Detections]]
"""See `Detector.detect`."""


@dataclass(frozen=True, slots=True)
class DetectorAlone:
    """A detector for which every sub-tile passes the screening, with score 0. device : what it runs on, in words."""

    detect: Detect
    screening_card: ModelCard
    detection_card: ModelCard
    verification_card: None = None
    provider: str = "torch"

    @classmethod
    def from_detect(cls, detect: Detect) -> "DetectorAlone":
        """With cards that state the study's geometry and let everything pass."""
        return cls(detect, *draft_cards()[:2])

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`: it is not asked, since there is no card."""
        raise ModelError("a detector alone has no verifier")

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.screen`."""
        stride = self.screening_card.input.stride_px
        return np.zeros((len(tiles), tiles.shape[1] // stride - 1, tiles.shape[2] // stride - 1), np.float32)


def torch_detect(model: SubTileDetector) -> Detect:
    """The detections of a trained model of the study."""
    device = next(model.parameters()).device
    model.eval()

    @torch.inference_mode()
    def detect(windows: NDArray[np.uint8]) -> list[Detections]:
        found = model(torch.from_numpy(windows).to(device).permute(0, 3, 1, 2).float())
        return [
            Detections(f["boxes"].cpu().numpy(), f["scores"].cpu().numpy(), np.zeros(len(f["scores"]), np.float32))
            for f in found
        ]

    return detect


Score = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Scores of windows, uint8, (N, 250, 250, 3) -> float32, (N,)."""


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


def load_subject(path: Path) -> Subject:
    """What lies in a folder.

    Raises
    ------
    FileNotFoundError
        If it is neither a finished run nor a folder of models.
    """
    if (path / RECIPE_FILE).is_file():
        return _load_run(path)
    if any(path.glob("*/*/card.json")):
        return _load_models(path)
    raise FileNotFoundError(f"{path} is neither a finished run nor a folder of <name>/<version>/card.json")


def _load_run(run: Path) -> Subject:
    recipe, model = load_run(run)
    record = read_record(run)
    seen = (
        "not stated: the run does not say whom it saw"
        if record is None
        else f"none of these patients; it learnt from {len(record.train)} others of {record.data}, and "
        f"{len(record.validation)} chose its weights"
    )
    left_out = frozenset() if record is None else record.seen
    if isinstance(recipe, CascadeRecipe):
        return replace(_load_detector(draft_detector(run, []), seen), patients=left_out)
    if not isinstance(recipe, SubTileRecipe):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe, which is judged as part of a cascade")
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    versions = (ModelVersion(name=recipe.model, version=run.name, sha256=_sha256(run / "model.pt")),)
    thresholds, told = HEADS[recipe.head_name].thresholds, MODELS[recipe.model].told_apart_at
    if isinstance(model, SubTileDetector):
        detect = torch_detect(model)
        return Subject(
            versions, None, detect, DetectorAlone.from_detect(detect), thresholds, told, None, seen, left_out
        )
    return Subject(versions, _torch_score(model), None, None, thresholds, told, None, seen, left_out)


def _load_models(root: Path) -> Subject:
    return _load_detector(load_cascade(newest_release(root)), "see the cards' lists of data; nothing is left out")


def _load_detector(detector: Detector, seen: str) -> Subject:
    """A cascade: its screening scores sub-tiles, all together judge pictures, at the threshold that serving counts by."""
    screening, cards = detector.screening_card, list_cards(detector)
    trained = detector.detection_card.version != DRAFT_VERSION
    return Subject(
        tuple(ModelVersion(name=c.name, version=c.version, sha256=c.sha256() if trained else None) for c in cards),
        lambda windows: detector.screen(windows)[:, 0, 0],
        detector.detect,
        detector,
        REG_THRESHOLDS,
        screening.screening_threshold.score if screening.screening_threshold and trained else 0.35,
        counting_threshold(cards) if trained else None,
        seen,
    )


def _torch_score(model: nn.Module) -> Score:
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
