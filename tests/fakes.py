"""A detector of planted dots, which knows nothing of tissue and everything of geometry."""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.core.card_parts import (
    AtypicalThreshold,
    DetectionThreshold,
    ScreeningThreshold,
    TriageThreshold,
    VerifierViews,
)
from serving.core.detections import Detections
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.tissue_classes import TissueClass
from serving.core.words import RESEARCH_USE

WINDOW, STRIDE = 250, 125
VERIFIER_WINDOW = 64
CELL = 32
"""Side of a cell of triage, px."""
DOT = (10, 40, 200)
"""Colour of a planted dot: no stain has it."""
ATYPICAL_DOT = (60, 40, 200)
"""Of a dot that stands for an atypical figure: it has more red."""
DOT_PX = 24
"""Side of a planted dot at the models' resolution."""
GIVEN: dict[str, str] = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
"""What cards say of thresholds that a test chose."""


def make_verifier_card(*, detection: float = 0.5, candidate: float = 0.1, first: float | None = None) -> ModelCard:
    """A valid card of a verifier. first : probability after one view from which the others are asked for; None for a graph of all views."""
    _, det = make_cards(detection=detection)
    changed = {
        "name": "verifier",
        "task": "verification",
        "input": ModelInput(window_px=VERIFIER_WINDOW, stride_px=VERIFIER_WINDOW, mpp=0.25, layout="uint8 RGB"),
        "output": "probabilities",
        "candidate_probability": candidate,
        "views": None if first is None else VerifierViews(count=8, first_probability=first, **GIVEN),
        "nms_iou": None,
        "merge_radius_um": None,
    }
    return ModelCard.model_validate({**det.model_dump(), **changed})


def make_cards(
    *, screening: float = 0.05, detection: float = 0.5, merge_radius_um: float = 6.0
) -> tuple[ModelCard, ModelCard]:
    """Valid cards of a Reg-NS and a Det, with the thresholds that a test needs."""
    common: dict[str, Any] = {
        "schema_version": "1.0",
        "version": "0.0.1",
        "architecture": "planted dots",
        "input": ModelInput(window_px=WINDOW, stride_px=STRIDE, mpp=0.25, layout="uint8 RGB"),
        "weights": "none",
        "parameters": 1,
        "data": [],
        "evaluation": "none",
        "per_slide": [],
        "figures": {},
        "limits": ["for tests only"],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }
    return (
        ModelCard(
            **common,
            name="reg-ns",
            task="screening",
            output="scores",
            screening_threshold=ScreeningThreshold(score=screening, **GIVEN),
        ),
        ModelCard(
            **common,
            name="det",
            task="detection",
            output="boxes",
            detection_threshold=DetectionThreshold(probability=detection, **GIVEN),
            nms_iou=0.3,
            merge_radius_um=merge_radius_um,
        ),
    )


def make_triage_card(*, threshold: float = 0.2) -> ModelCard:
    """A valid card of a triage model."""
    screening, _ = make_cards()
    changed = {
        "name": "triage",
        "task": "triage",
        "input": ModelInput(window_px=CELL, stride_px=CELL, mpp=0.25, layout="uint8 RGB"),
        "output": "probabilities",
        "screening_threshold": None,
        "triage_threshold": TriageThreshold(probability=threshold, **GIVEN),
    }
    return ModelCard.model_validate({**screening.model_dump(), **changed})


_COUNTING = threading.Lock()
"""Detectors are asked by several threads."""


@dataclass(slots=True)
class DotDetector:
    """Finds dots planted by `plant`; counts what it was asked, so that tests see what ran."""

    screening_card: ModelCard = field(default_factory=lambda: make_cards()[0])
    detection_card: ModelCard = field(default_factory=lambda: make_cards()[1])
    verification_card: ModelCard | None = None
    provider: str = "CPUExecutionProvider"
    screened: int = 0
    detected: int = 0
    verified: int = 0

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The area of dots in each sub-tile, a whole dot counting 1."""
        dots = _is_dot(tiles).astype(np.float64)
        blocks = dots.reshape(len(tiles), tiles.shape[1] // STRIDE, STRIDE, tiles.shape[2] // STRIDE, STRIDE).sum(
            (2, 4)
        )
        scores = blocks[:, :-1, :-1] + blocks[:, 1:, :-1] + blocks[:, :-1, 1:] + blocks[:, 1:, 1:]
        with _COUNTING:
            self.screened += scores.size
        return np.asarray(scores / DOT_PX**2, np.float32)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """A box around each dot, also around those that an edge cuts."""
        with _COUNTING:
            self.detected += len(sub_tiles)
        return [_dots(window) for window in sub_tiles]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The share of a whole dot that each window's middle shows."""
        self.verified += len(windows)
        return np.asarray(_is_dot(windows).sum((1, 2)) / DOT_PX**2, np.float32).clip(0, 1)


@dataclass(slots=True)
class TriagedDots(DotDetector):
    """The same behind a light net, which sees how much of a dot lies in each cell."""

    triage_card: ModelCard | None = field(default_factory=make_triage_card)
    triaged: int = 0
    verified_once: int = 0

    def triage(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The share of a whole dot in each cell: a quarter or more where its centre is."""
        count, height, width, _ = tiles.shape
        assert not height % CELL
        assert not width % CELL
        with _COUNTING:
            self.triaged += count
        dots = _is_dot(tiles).reshape(count, height // CELL, CELL, width // CELL, CELL).sum((2, 4))
        return np.asarray(dots / DOT_PX**2, np.float32).clip(0, 1)

    def verify_once(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A tenth less than `verify` says."""
        self.verified_once += len(windows)
        return np.asarray(_is_dot(windows).sum((1, 2)) / DOT_PX**2 - 0.1, np.float32).clip(0, 1)


def make_alone_card(*, mpp: float = 0.5, window: int = 256, overlap: int = 64, **changed: Any) -> ModelCard:
    """A valid card of a one-stage detector of boxes."""
    _, det = make_cards()
    stated = {
        "name": "boxes",
        "input": ModelInput(
            window_px=window, stride_px=window - overlap, overlap_px=overlap, mpp=mpp, layout="uint8 RGB"
        ),
        "least_probability": 0.05,
    }
    return ModelCard.model_validate(det.model_dump() | stated | changed)


@dataclass(slots=True)
class DotsAlone:
    """Finds dots planted by `plant` in the windows of a slide, without a cascade."""

    card: ModelCard = field(default_factory=make_alone_card)
    provider: str = "CPUExecutionProvider"
    seen: int = 0

    def find(self, windows: NDArray[np.uint8]) -> list[Detections]:
        """A box around each dot, the likelier the more of it is there."""
        self.seen += len(windows)
        side = DOT_PX * 0.25 / self.card.input.mpp
        return [_dots(window, side) for window in windows]


def make_atypia_card(*, threshold: float = 0.5, **changed: Any) -> ModelCard:
    """A valid card of an atypia model."""
    stated = {
        "name": "atypia",
        "task": "classification",
        "detection_threshold": None,
        "candidate_probability": None,
        "atypical_threshold": AtypicalThreshold(probability=threshold, **GIVEN),
    }
    return ModelCard.model_validate(make_verifier_card().model_dump() | stated | changed)


@dataclass(slots=True)
class RedDots:
    """An atypia model that looks at how red the dot in the middle of a window is."""

    card: ModelCard = field(default_factory=make_atypia_card)
    provider: str = "CPUExecutionProvider"
    classified: int = 0

    def classify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """0.1 of a common dot, 0.9 of an atypical one."""
        self.classified += len(windows)
        side = windows.shape[1] // 2
        red = windows[:, side, side, 0].astype(np.float32)
        return np.asarray(0.1 + 0.8 * (red - DOT[0]) / (ATYPICAL_DOT[0] - DOT[0]), np.float32).clip(0, 1)


@dataclass(slots=True)
class ClassifyingDots(DotDetector):
    """Finds dots, and says which of them are atypical."""

    atypia: RedDots | None = field(default_factory=RedDots)


@dataclass(slots=True)
class ClassifyingAlone(DotsAlone):
    """The same without a cascade."""

    atypia: RedDots | None = field(default_factory=RedDots)


STROMA, NECROSIS = (190, 130, 205), (200, 170, 150)
"""Colours of tissue that is no tumour, which has that of `tissue`; none is so pale as to be taken for glass."""


def make_regions_card(*, mpp: float = 1.0, window: int = 96, overlap: int = 32, **changed: Any) -> ModelCard:
    """A valid card of a regions model of three classes."""
    det = make_cards()[1]
    uses = (("Tumor", "within"), ("Necrosis", "exclude"), ("Stroma", "shown"))
    stated = {
        "name": "regions",
        "task": "segmentation",
        "input": ModelInput(
            window_px=window, stride_px=window - overlap, overlap_px=overlap, mpp=mpp, layout="uint8 RGB"
        ),
        "output": "probabilities",
        "detection_threshold": None,
        "nms_iou": None,
        "merge_radius_um": None,
        "tissue_classes": [TissueClass(name=name, use=use) for name, use in uses],  # type: ignore[arg-type]
    }
    return ModelCard.model_validate({**det.model_dump(), **stated, **changed})


@dataclass(slots=True)
class ColourSegmenter:
    """A regions model that knows tissue by its colour: a place is of the class whose colour is nearest, one in `factor` px each way."""

    card: ModelCard = field(default_factory=make_regions_card)
    provider: str = "CPUExecutionProvider"
    factor: int = 1
    segmented: int = 0

    def segment(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """1 of the nearest colour's class, 0 of the others."""
        self.segmented += len(windows)
        colours = np.asarray([(225, 170, 205), NECROSIS, STROMA], np.float32)
        seen = windows[:, self.factor // 2 :: self.factor, self.factor // 2 :: self.factor].astype(np.float32)
        far = ((seen[..., None, :] - colours) ** 2).sum(-1)
        return np.asarray(far.argmin(-1)[:, None] == np.arange(len(colours))[:, None, None], np.float32)


@dataclass(slots=True)
class BoundedDots(DotDetector):
    """Finds dots, and says in which tissue they count."""

    regions: ColourSegmenter | None = field(default_factory=ColourSegmenter)


def plant(
    pixels: NDArray[np.uint8], x: float, y: float, *, side: int = DOT_PX, colour: tuple[int, int, int] = DOT
) -> None:
    """Put a dot centred at (x, y) into `pixels`, uint8, shape (h, w, 3), in place; the picture's edges cut it."""
    left, top = round(x - side / 2), round(y - side / 2)
    pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = colour


def tissue(width: int, height: int) -> NDArray[np.uint8]:
    """A picture that is all plain pink tissue, uint8, shape (height, width, 3)."""
    return np.full((height, width, 3), (225, 170, 205), np.uint8)


def _is_dot(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((pixels[..., 0] < 90) & (pixels[..., 2] > 150))


def _dots(window: NDArray[np.uint8], side: float = DOT_PX) -> Detections:
    labels, _ = ndimage.label(_is_dot(window))
    found = [s for s in ndimage.find_objects(labels) if s is not None]
    boxes = np.asarray([(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in found], np.float32).reshape(-1, 4)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return Detections(boxes, np.minimum(area / side**2, 0.99).astype(np.float32), np.zeros(len(boxes), np.float32))
