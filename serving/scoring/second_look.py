"""Candidates judged again, each in the middle of a window of its own, turned and mirrored.

The lattice shows a figure wherever it happens to lie in a sub-tile, and what a net says of it depends on that. One place
and several orientations make figures comparable, within a slide and across slides.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from serving.scoring.detector import Detector
from serving.scoring.reading import read_mirrored
from serving.wsi.detections import Detections
from serving.wsi.geometry import Region, WorkFrame
from serving.wsi.slide import Slide

BATCH = 16
"""Windows that the models see at once."""


def look_again(
    candidates: Detections, slide: Slide, frame: WorkFrame, detector: Detector, *, looks: int, radius: float
) -> Detections:
    """The candidates with new probabilities, in their old order and with their old boxes.

    The probability is the mean over `looks` orientations of Det's likeliest box within `radius` of the window's middle,
    0 without one, times the window's screening score, at most 1: both models must agree.

    candidates : boxes in work px; looks : 1 to 8 of a square's symmetries; radius : work px
    """
    found = [
        value
        for windows in _batches(candidates, slide, frame, detector.screening_card.input.window_px, looks)
        for value in _probabilities(windows, detector, radius)
    ]
    probabilities = np.asarray(found, np.float32).reshape(len(candidates), looks).mean(1)
    return Detections(candidates.boxes, probabilities, candidates.scores)


def orientations(window: NDArray[np.uint8], looks: int) -> NDArray[np.uint8]:
    """The first `looks` of a square's eight symmetries: four turns, then the same mirrored. -> (looks, side, side, 3)."""
    turned = [np.rot90(window, turn % 4) for turn in range(looks)]
    return np.stack([picture if turn < 4 else picture[:, ::-1] for turn, picture in enumerate(turned)])


def _batches(
    candidates: Detections, slide: Slide, frame: WorkFrame, side: int, looks: int
) -> Iterator[NDArray[np.uint8]]:
    """Oriented windows of all candidates, uint8, shape (N, side, side, 3), N at most `BATCH`."""
    waiting = np.empty((0, side, side, 3), np.uint8)
    for x, y in candidates.centres:
        region = Region(round(float(x) - side / 2), round(float(y) - side / 2), side, side)
        waiting = np.concatenate([waiting, orientations(read_mirrored(slide, frame, region), looks)])
        while len(waiting) >= BATCH:
            yield waiting[:BATCH]
            waiting = waiting[BATCH:]
    if len(waiting):
        yield waiting


def _probabilities(windows: NDArray[np.uint8], detector: Detector, radius: float) -> list[float]:
    screened = detector.screen(windows)[:, 0, 0].clip(0, 1)
    middle = windows.shape[1] / 2
    result = []
    for score, boxes in zip(screened.tolist(), detector.detect(windows), strict=True):
        near = np.hypot(*(boxes.centres - middle).T) <= radius
        result.append(score * float(boxes.probabilities[near].max(initial=0.0)))
    return result
