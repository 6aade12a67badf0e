"""Trained weights behind serving's `Detector` protocol, so that what is evaluated is what is served."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from serving.wsi.detections import Detections
from serving.wsi.modelcard import ModelCard
from training.export.graphs import DetGraph, RegNSGraph
from training.models.cascade import Cascade
from training.models.verifier import Verifier


@dataclass(frozen=True, slots=True)
class TorchDetector:
    """The exported graphs, run by torch in float32."""

    screening_card: ModelCard
    detection_card: ModelCard
    screening: RegNSGraph
    detection: DetGraph
    provider: str = "torch"

    @classmethod
    def of(cls, model: Cascade, screening_card: ModelCard, detection_card: ModelCard) -> "TorchDetector":
        """A detector of trained weights; the cards supply the thresholds that serving applies."""
        model.eval()
        return cls(
            screening_card, detection_card, RegNSGraph(model.trunk, model.regns), DetGraph(model.trunk, model.det)
        )

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.screen`."""
        with torch.inference_mode():
            scores: NDArray[np.float32] = self.screening(torch.from_numpy(tiles)).numpy()
        return scores

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector.detect`."""
        with torch.inference_mode():
            boxes, probabilities, counts = (t.numpy() for t in self.detection(torch.from_numpy(sub_tiles)))
        return [
            Detections(b[:n], p[:n], np.zeros(n, np.float32))
            for b, p, n in zip(boxes, probabilities, counts, strict=True)
        ]
