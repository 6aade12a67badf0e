"""A detector that answers at once: what is left of a slide's time is reading and everything around the models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.modelcard import ModelCard

PASSING = 0.184
"""Share of sub-tiles that Reg-NS passes on the fields in its card."""
BOXES = 0.3
"""Boxes that Det places in a sub-tile, on average."""


@dataclass(slots=True)
class ZeroCostDetector:
    """See `Detector`; says the same of every slide."""

    screening_card: ModelCard
    detection_card: ModelCard
    verification_card: ModelCard | None
    provider: str

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        stride = self.screening_card.input.stride_px
        count, height, width = tiles.shape[:3]
        scores = np.random.default_rng(height).random((count, height // stride - 1, width // stride - 1), np.float32)
        chosen = self.screening_card.screening_threshold
        threshold = 0.0 if chosen is None else chosen.score
        return np.where(scores < PASSING, np.float32(threshold + 0.5), np.float32(threshold - 0.1))

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector`."""
        random = np.random.default_rng(len(sub_tiles))
        found = []
        for count in random.poisson(BOXES, len(sub_tiles)):
            corners = random.integers(10, 200, (count, 2))
            boxes = np.concatenate([corners, corners + 40], 1).astype(np.float32)
            found.append(Detections(boxes, random.random(count, np.float32), np.zeros(count, np.float32)))
        return found

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        return np.full(len(windows), 0.5, np.float32)
