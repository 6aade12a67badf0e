"""Candidates judged again by the verifier, each in the middle of a window of its own.

The lattice shows a figure wherever it happens to lie in a sub-tile, and what Det says of it depends on that. One place in
one small window makes candidates comparable, within a slide and across slides. Det has seen more of the surroundings, so
both are asked, and neither has the last word alone.
"""

import contextlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from serving.scoring.detector import Detector
from serving.scoring.pace import Pace, pace_of
from serving.scoring.reading import read_mirrored
from serving.wsi.detections import Detections
from serving.wsi.geometry import Region, WorkFrame
from serving.wsi.modelcard import ModelCard
from serving.wsi.slide import Slide

_SURE = 1e-4
"""No opinion is taken for surer than this, so that none overrules the other by a rounding error."""


def verify_candidates(
    merged: Detections, slide: Slide, frame: WorkFrame, detector: Detector, card: ModelCard
) -> Detections:
    """The likely enough of `merged`, in their order and with their boxes, each with Det's and the verifier's joint probability.

    merged : boxes in work px, with Det's probabilities. card : the verifier's
    """
    candidates = merged[merged.probabilities >= (card.candidate_probability or 0.0)]
    pace = pace_of(detector.provider)
    batches = _batches(candidates, slide, frame, card.input.window_px, pace)
    with contextlib.closing(batches):
        parts = [detector.verify(windows) for windows in batches]
    verified = np.concatenate([np.empty(0, np.float32), *parts])
    return Detections(candidates.boxes, pooled(candidates.probabilities, verified), candidates.scores)


def pooled(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithmic opinion pool of two probabilities, equal weights: the mean of their logits (Genest and Zidek, 1986)."""
    logits = [np.log(p / (1 - p)) for p in (np.clip(x.astype(np.float64), _SURE, 1 - _SURE) for x in (first, second))]
    return np.asarray(1 / (1 + np.exp(-sum(logits) / 2)), np.float32)


def _batches(
    candidates: Detections, slide: Slide, frame: WorkFrame, side: int, pace: Pace
) -> Generator[NDArray[np.uint8]]:
    """Windows around the candidates' centres, uint8, shape (N, side, side, 3); while one batch is judged the next is read."""
    corners = np.floor(candidates.centres - side / 2 + 0.5).astype(int).tolist()
    pool = ThreadPoolExecutor(pace.readers, thread_name_prefix="candidate-reader")
    reading: deque[list[Future[NDArray[np.uint8]]]] = deque()
    try:
        for start in range(0, len(corners), pace.candidates):
            regions = [Region(x, y, side, side) for x, y in corners[start : start + pace.candidates]]
            reading.append([pool.submit(read_mirrored, slide, frame, region) for region in regions])
            if len(reading) == 2:
                yield np.stack([window.result() for window in reading.popleft()])
        while reading:
            yield np.stack([window.result() for window in reading.popleft()])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
