"""Score a slide with models of your own: `python examples/own_detector.py slide.svs`.

A detector is anything with the members of `mitoserve.Detector`. This one stands for a real model: it takes every dark
spot for a mitotic figure, so its counts mean nothing. What it shows is the contract: shapes, units and cards.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

import mitoserve
from serving.core.detections import Detections
from serving.core.modelcard import ModelCard, load_card
from serving.scoring.models import model_folder
from serving.settings import default_models

DARK = 70
"""Mean of RGB below which a pixel is dark."""
SMALLEST_PX = 40
"""Spots of fewer dark pixels are no candidates."""


class DarkSpotDetector:
    """Takes dark spots for mitotic figures."""

    verification_card: ModelCard | None = None
    provider = "CPUExecutionProvider"

    def __init__(self, models: Path) -> None:
        """`models` : folder of released models, whose cards state geometry and thresholds."""
        self.screening_card = self._card(models, "reg-ns")
        self.detection_card = self._card(models, "det")

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores of all sub-tiles: here 1 where a sub-tile has dark pixels enough, else 0.

        Parameters
        ----------
        tiles
            uint8, shape (N, H, W, 3), H and W multiples of the stride.

        Returns
        -------
        float32, shape (N, H / stride - 1, W / stride - 1)
        """
        stride = self.screening_card.input.stride_px
        count, height, width = tiles.shape[:3]
        dark = tiles.mean(axis=3) < DARK
        cells = dark.reshape(count, height // stride, stride, width // stride, stride).sum(axis=(2, 4))
        sub_tiles = cells[:, :-1, :-1] + cells[:, 1:, :-1] + cells[:, :-1, 1:] + cells[:, 1:, 1:]
        return np.asarray(sub_tiles >= SMALLEST_PX, np.float32)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """Boxes (x1, y1, x2, y2) in px of each sub-tile, with probabilities.

        Parameters
        ----------
        sub_tiles
            uint8, shape (N, window, window, 3).
        """
        return [self._find(window) for window in sub_tiles]

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Never called, since there is no verification card."""
        raise NotImplementedError

    def _find(self, window: NDArray[np.uint8]) -> Detections:
        labels, count = ndimage.label(window.mean(axis=2) < DARK)
        areas = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
        places = [place for place, area in zip(ndimage.find_objects(labels), areas, strict=True) if area >= SMALLEST_PX]
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in places]
        return Detections(
            boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
            probabilities=np.full(len(boxes), 0.9, np.float32),
            scores=np.zeros(len(boxes), np.float32),
        )

    @staticmethod
    def _card(models: Path, name: str) -> ModelCard:
        card = load_card(model_folder(models, name))
        return card.model_copy(
            update={"version": "0.0.0", "architecture": "dark spots", "probability_calibration": None}
        )


def main(slide: Path, models: Path | None = None) -> mitoserve.Report:
    """Score the slide with the detector and print its count."""
    report = mitoserve.score(slide, detector=DarkSpotDetector(models or default_models()))
    print(f"{report.slide.name}: {report.counts.mitotic_figures} dark spots")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]))
