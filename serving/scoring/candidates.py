"""What one-stage detectors find in windows: peaks of a map of probabilities, or boxes without those that they overlap."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard

MOST = 2000
"""Candidates of one window that are kept, the likeliest: hundreds of cells fit into 256 um."""


def find_candidates(card: ModelCard, outputs: Mapping[str, NDArray[Any]]) -> list[Detections]:
    """Candidates of each window, boxes in window px, `scores` zero.

    outputs : of the graph, by name, see the role's contract

    Raises
    ------
    ModelError
        If a probability is not in 0..1.
    """
    probabilities = outputs["probabilities"]
    if probabilities.size and (probabilities.min() < -_ROUNDING or probabilities.max() > 1 + _ROUNDING):
        raise ModelError(
            f"model {card.name} {card.version} gave probabilities from {probabilities.min():.3g} to {probabilities.max():.3g}, "
            "which are none: its graph must end in a sigmoid or a softmax"
        )
    probabilities, least = np.clip(probabilities, 0, 1), card.least_probability or 0.0
    if "boxes" in outputs:
        both = zip(outputs["boxes"], probabilities, strict=True)
        return [suppress_boxes(b.astype(np.float32), p.astype(np.float32), least, card.nms_iou) for b, p in both]
    side, mpp = card.input.window_px, card.input.mpp
    distance, half = (card.peak_distance_um or 0.0) / mpp, (card.point_box_um or 0.0) / mpp / 2
    return [_box_peaks(window.astype(np.float32), least, distance, half, side) for window in probabilities]


_ROUNDING = 1e-3
"""Half precision rounds a sigmoid past 1 by less than this."""


def find_peaks(
    probabilities: NDArray[np.float32], least: float, distance: float
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Middles (x, y) of peaks, float64, shape (N, 2), in elements of the map, and their probabilities, shape (N,), likeliest first.

    A peak is a place, or a plateau, of which none within `distance` is likelier; of equally likely ones the upper left stays.

    probabilities : float32, shape (rows, columns). least : probability of a peak. distance : in elements
    """
    if not probabilities.size or probabilities.max() < least:
        return np.empty((0, 2)), np.empty(0, np.float32)
    # What is highest within the distance is so in a square inside of it, which is quick to look through.
    reach = max(int(distance / np.sqrt(2)), 1)
    high = (probabilities >= least) & (
        probabilities == ndimage.maximum_filter(probabilities, size=2 * reach + 1, mode="constant", cval=0.0)
    )
    labels, count = ndimage.label(high, np.ones((3, 3)))
    numbers = range(1, count + 1)
    middles = np.asarray(ndimage.center_of_mass(high, labels, numbers), np.float64).reshape(-1, 2)[:, ::-1]
    values = np.asarray(ndimage.maximum(probabilities, labels, numbers), np.float32)
    order = np.lexsort((middles[:, 0], middles[:, 1], -values))[:MOST]
    middles, values = middles[order], values[order]
    kept = _keep_apart(middles, distance)
    return middles[kept] + 0.5, values[kept]


def suppress_boxes(
    boxes: NDArray[np.float32], probabilities: NDArray[np.float32], least: float, iou: float | None
) -> Detections:
    """Boxes from `least` up, without those that overlap a likelier one by more than `iou`; None where the graph has done so.

    boxes : float32, shape (N, 4), xyxy. A box without area is none.
    """
    real = (probabilities >= least) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, probabilities = boxes[real], probabilities[real]
    order = np.lexsort((*boxes.T, -probabilities))[:MOST]
    boxes, probabilities = boxes[order], probabilities[order]
    if iou is not None:
        kept = _keep_distinct(boxes.astype(np.float64), iou)
        boxes, probabilities = boxes[kept], probabilities[kept]
    return Detections(boxes, probabilities, np.zeros(len(boxes), np.float32))


def _box_peaks(probabilities: NDArray[np.float32], least: float, distance: float, half: float, side: int) -> Detections:
    """A box around each peak of a window; distance, half, and the window's side in its px."""
    factor = side / probabilities.shape[0]
    middles, values = find_peaks(probabilities, least, distance / factor)
    centres = middles * factor
    boxes = np.concatenate([centres - half, centres + half], 1).astype(np.float32)
    return Detections(boxes, values, np.zeros(len(values), np.float32))


def _keep_apart(middles: NDArray[np.float64], distance: float) -> NDArray[np.intp]:
    """Those that have none before them within `distance` that is kept."""
    # The stubs know the answer for one point only.
    near = cast("list[list[int]]", cKDTree(middles).query_ball_point(middles, distance))
    dropped = np.zeros(len(middles), np.bool_)
    for number in range(len(middles)):
        if not dropped[number]:
            dropped[[other for other in near[number] if other > number]] = True
    return np.flatnonzero(~dropped)


def _keep_distinct(boxes: NDArray[np.float64], iou: float) -> NDArray[np.intp]:
    """Those that overlap none before them that is kept by more than `iou`."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = np.arange(len(boxes))
    kept = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(first)
        sides = np.minimum(boxes[left, 2:], boxes[first, 2:]) - np.maximum(boxes[left, :2], boxes[first, :2])
        shared = sides.clip(0).prod(1)
        left = left[shared <= iou * (area[left] + area[first] - shared)]
    return np.asarray(kept, np.intp)
