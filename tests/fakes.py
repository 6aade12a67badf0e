"""A detector of planted dots, which knows nothing of tissue and everything of geometry."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.core.detections import Detections
from serving.core.modelcard import DetectionThreshold, ModelCard, ModelInput, ScreeningThreshold
from serving.core.research_use import RESEARCH_USE

WINDOW, STRIDE = 250, 125
VERIFIER_WINDOW = 64
DOT = (10, 40, 200)
"""Colour of a planted dot: no stain has it."""
DOT_PX = 24
"""Side of a planted dot at the models' resolution."""


def make_verifier_card(*, detection: float = 0.5, candidate: float = 0.1) -> ModelCard:
    """A valid card of a verifier."""
    _, det = make_cards(detection=detection)
    changed = {
        "name": "verifier",
        "task": "verification",
        "input": ModelInput(window_px=VERIFIER_WINDOW, stride_px=VERIFIER_WINDOW, mpp=0.25, layout="uint8 RGB"),
        "output": "probabilities",
        "candidate_probability": candidate,
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
    chosen: dict[str, str] = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
    return (
        ModelCard(
            **common,
            name="reg-ns",
            task="screening",
            output="scores",
            screening_threshold=ScreeningThreshold(score=screening, **chosen),
        ),
        ModelCard(
            **common,
            name="det",
            task="detection",
            output="boxes",
            detection_threshold=DetectionThreshold(probability=detection, **chosen),
            nms_iou=0.3,
            merge_radius_um=merge_radius_um,
        ),
    )


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
        self.screened += scores.size
        return np.asarray(scores / DOT_PX**2, np.float32)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """A box around each dot, also around those that an edge cuts."""
        self.detected += len(sub_tiles)
        return [_dots(window) for window in sub_tiles]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The share of a whole dot that each window's middle shows."""
        self.verified += len(windows)
        return np.asarray(_is_dot(windows).sum((1, 2)) / DOT_PX**2, np.float32).clip(0, 1)


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


def plant(pixels: NDArray[np.uint8], x: float, y: float, *, side: int = DOT_PX) -> None:
    """Put a dot centred at (x, y) into `pixels`, uint8, shape (h, w, 3), in place; the picture's edges cut it."""
    left, top = round(x - side / 2), round(y - side / 2)
    pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = DOT


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
