"""Candidates judged again by the verifier, each in the middle of a window of its own.

The lattice shows a figure wherever it happens to lie in a sub-tile, and what Det says of it depends on that. One place in
one small window makes candidates comparable, within a slide and across slides. Det has seen more of the surroundings, so
both are asked, each with the weight that the verifier's card states.
"""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from serving.core.detections import Detections
from serving.core.geometry import Region, WorkFrame
from serving.core.modelcard import ModelCard
from serving.scoring.batch_sizes import BatchSizes, choose_batch_sizes
from serving.scoring.detector import Detector, TriagedDetector
from serving.scoring.reading import read_mirrored
from serving.scoring.tiling import TILE_PX
from serving.slides.slide import Slide

CROWDED = 8
"""Windows in one tile area from which reading what lies between them costs less than asking for each."""
EQUAL_SHARE = 0.5
"""Weight of Det's word where the verifier's card states none."""
DOUBT = 1.0
"""Log odds around what counts: as far as fewer looks move most joint probabilities."""
SURE = 1e-4
"""No opinion is taken for surer than this, so that none overrules the other by a rounding error."""


def verify_candidates(
    merged: Detections,
    slide: Slide,
    frame: WorkFrame,
    detector: Detector,
    card: ModelCard,
    *,
    fast: bool = False,
    look_again: Callable[[Detections, NDArray[np.bool_]], Detections] | None = None,
) -> Detections:
    """The likely enough of `merged`, in their order and with their boxes, each with Det's and the verifier's joint probability.

    merged : boxes in work px, with Det's probabilities. card : the verifier's
    fast : whether those that one view makes unlikely enough are shown no other; see `VerifierViews`
    look_again : given all candidates and which of them are close to counting, gives the latter as another look shows them, in their order
    """
    candidates = merged[merged.probabilities >= (card.candidate_probability or 0.0)]
    pace = choose_batch_sizes(detector.provider)
    share = EQUAL_SHARE if card.detector_share is None else card.detector_share

    def judge(some: Detections, verify: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> NDArray[np.float32]:
        return judge_windows(some.centres, slide, frame, card.input.window_px, verify, pace=pace)

    if fast and card.views is not None and isinstance(detector, TriagedDetector):
        said = judge(candidates, detector.verify_once)
        first = pool_probabilities(candidates.probabilities, said, share)
        left = (first >= card.views.first_probability) | find_doubtful(first, card)
        said[left] = judge(candidates[left], detector.verify)
    else:
        said = judge(candidates, detector.verify)
    joint = pool_probabilities(candidates.probabilities, said, share)
    boxes = candidates.boxes.copy()
    if look_again is not None and (doubtful := find_doubtful(joint, card)).any():
        again = look_again(candidates, doubtful)
        moved = (again.boxes != boxes[doubtful]).any(1)
        said[np.flatnonzero(doubtful)[moved]] = judge(again[moved], detector.verify)
        boxes[doubtful] = again.boxes
        joint[doubtful] = pool_probabilities(again.probabilities, said[doubtful], share)
    return Detections(boxes, joint, candidates.scores)


def find_doubtful(joint: NDArray[np.float32], card: ModelCard) -> NDArray[np.bool_]:
    """Which joint probabilities, before calibration, are within `DOUBT` of what counts by the verifier's card."""
    calibrated = joint if card.probability_calibration is None else card.probability_calibration.map.apply(joint)
    threshold = 0.5 if card.detection_threshold is None else card.detection_threshold.probability
    odds, least = (logit(np.clip(p, SURE, 1 - SURE)) for p in (calibrated, threshold))
    return np.asarray(np.abs(odds - least) <= DOUBT, np.bool_)


def judge_windows(
    centres: NDArray[np.float32],
    slide: Slide,
    frame: WorkFrame,
    side: int,
    judge: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    *,
    pace: BatchSizes,
) -> NDArray[np.float32]:
    """What a model says of the window around each place, float32, shape (N,), in the order of the places.

    centres : float32, shape (N, 2), (x, y), work px; side : of a window
    judge : gives of windows, uint8, shape (n, side, side, 3), a number each
    """
    corners = np.floor(centres - side / 2 + 0.5).astype(np.int64)
    found = np.empty(len(centres), np.float32)
    with contextlib.closing(read_windows(corners, slide, frame, side, pace=pace, size=pace.candidates)) as batches:
        for numbers, windows in batches:
            found[numbers] = judge(windows)
    return found


def read_windows(
    corners: NDArray[np.int64], slide: Slide, frame: WorkFrame, side: int, *, pace: BatchSizes, size: int
) -> Generator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Windows in batches of `size`, uint8, shape (n, side, side, 3), read by threads ahead, neighbours together; each batch behind its numbers.

    corners : int64, shape (N, 2), (x, y), work px
    """
    order, groups = _neighbours(corners)
    with contextlib.closing(_windows(corners, groups, slide, frame, side, pace=pace)) as windows:
        for start, batch in zip(itertools.count(0, size), _batches(windows, size)):
            yield order[start : start + size], batch


def pool_probabilities(
    first: NDArray[np.float32], second: NDArray[np.float32], share: float = EQUAL_SHARE
) -> NDArray[np.float32]:
    """The logarithmic opinion pool of two probabilities: the weighted mean of their logits (Genest and Zidek, 1986).

    share : weight of the first, in 0..1; the second has the rest
    """
    one, other = (np.log(p / (1 - p)) for p in (np.clip(x.astype(np.float64), SURE, 1 - SURE) for x in (first, second)))
    return np.asarray(1 / (1 + np.exp(-(share * one + (1 - share) * other))), np.float32)


def calibrate(found: Detections, card: ModelCard) -> Detections:
    """The same with the probabilities that the card's calibration makes of them; as they are where it states none.

    card : of the model that speaks last
    """
    if card.probability_calibration is None:
        return found
    probabilities = card.probability_calibration.map.apply(found.probabilities)
    return replace(found, probabilities=probabilities.astype(np.float32))


def _neighbours(corners: NDArray[np.int64]) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
    """Windows in the order in which they are read, and the same in groups that lie in one tile area."""
    columns, rows = (corners // TILE_PX).T
    order = np.lexsort((columns, rows))
    moved = np.diff(rows[order], prepend=-2) | np.diff(columns[order], prepend=-2)
    return order, np.split(order, np.flatnonzero(moved)[1:]) if len(order) else []


def _windows(
    corners: NDArray[np.int64],
    groups: Sequence[NDArray[np.intp]],
    slide: Slide,
    frame: WorkFrame,
    side: int,
    *,
    pace: BatchSizes,
) -> Generator[NDArray[np.uint8]]:
    """The windows of each group, uint8, shape (N, side, side, 3), read by threads ahead of who asks for them."""
    pool = ThreadPoolExecutor(pace.readers, thread_name_prefix="candidate-reader")
    reading: deque[Future[NDArray[np.uint8]]] = deque()
    try:
        for group in groups:
            reading.append(pool.submit(_read, corners[group], slide, frame, side))
            if len(reading) == pace.ahead:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(corners: NDArray[np.int64], slide: Slide, frame: WorkFrame, side: int) -> NDArray[np.uint8]:
    """Windows with these corners, (x, y), work px: crowded ones from one read, where no resampling depends on its edges."""
    if len(corners) < CROWDED or frame.scale != 1:
        return np.stack([read_mirrored(slide, frame, Region(x, y, side, side)) for x, y in corners.tolist()])
    x, y = corners.min(0).tolist()
    width, height = (corners.max(0) - corners.min(0) + side).tolist()
    pixels = read_mirrored(slide, frame, Region(x, y, width, height))
    return np.stack([pixels[top : top + side, left : left + side] for left, top in (corners - corners.min(0)).tolist()])


def _batches(parts: Iterable[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """The windows of all parts, in their order, in batches of `size`."""
    waiting: list[NDArray[np.uint8]] = []
    for part in parts:
        waiting += list(part)
        while len(waiting) >= size:
            yield np.stack(waiting[:size])
            del waiting[:size]
    if waiting:
        yield np.stack(waiting)
