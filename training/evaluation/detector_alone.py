"""Any detector of sub-tiles behind serving's `Detector` protocol, without a screening model: it looks everywhere."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from training.export.draft_models import draft_cards
from training.models.sub_tile_detector import SubTileDetector

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
