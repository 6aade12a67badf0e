"""Trained weights behind serving's `Detector` protocol, so that what is evaluated is what is served."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from serving.wsi.detections import Detections
from serving.wsi.errors import ModelError
from serving.wsi.modelcard import ModelCard
from training.export.graphs import DetGraph, RegNSGraph, VerifierGraph
from training.models.cascade import Cascade
from training.models.verifier import Verifier


@dataclass(frozen=True, slots=True)
class TorchDetector:
    """The exported graphs, run by torch in float32."""

    screening_card: ModelCard
    detection_card: ModelCard
    screening: RegNSGraph
    detection: DetGraph
    verification: VerifierGraph | None = None
    verification_card: ModelCard | None = None
    provider: str = "torch"

    @classmethod
    def of(cls, model: Cascade, verifiers: Sequence[Verifier], cards: Sequence[ModelCard]) -> "TorchDetector":
        """A detector of trained weights; the cards, of as many models, supply the thresholds that serving applies."""
        model.eval()
        return cls(
            cards[0],
            cards[1],
            RegNSGraph(model.trunk, model.regns),
            DetGraph(model.trunk, model.det),
            VerifierGraph(verifiers) if verifiers else None,
            cards[2] if verifiers else None,
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

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector.verify`."""
        if self.verification is None:
            raise ModelError("this cascade has no verifier")
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = self.verification(torch.from_numpy(windows)).numpy()
        return probabilities
