"""From boxes to the targets of a sub-tile."""

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def clip_boxes(boxes: Boxes, window: tuple[float, float, float, float]) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes in a window's frame, cut at its edges, and the fraction of each box's area that lies inside.

    boxes : float32, shape (N, 4), xyxy
    window : x, y, width, height in the boxes' frame
    -> boxes that touch the window, float32, shape (M, 4), xyxy relative to it; fractions r_i, float32, shape (M,)
    """
    x, y, width, height = window
    cut = boxes - np.asarray([x, y, x, y], np.float32)
    area = (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1])
    cut[:, 0::2] = cut[:, 0::2].clip(0, width)
    cut[:, 1::2] = cut[:, 1::2].clip(0, height)
    inside = (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1])
    fraction = (inside / np.maximum(area, 1e-6)).astype(np.float32)
    touching = fraction > 0
    return cut[touching], fraction[touching]


def sub_tile_target(fractions: NDArray[np.float32], agreement: NDArray[np.float32]) -> float:
    """s_t = sum_i r_i a_i, the regression target of a sub-tile (paper, "Data"); may exceed 1."""
    return float((fractions * agreement).sum())


def cell_targets(boxes: Boxes, *, cells: int, pitch: float, window: float) -> NDArray[np.float32]:
    """The same target cell by cell: the share of each whole box that lies in each cell of a net's last feature map.

    Cell k of a stride-32 trunk looks at the pixels around `k * pitch`; the outer cells reach to the window's edge.

    boxes : float32, shape (N, 4), xyxy, sub-tile px, *not* clipped, so that shares sum to r_i
    -> float32, shape (cells, cells), [row, column]; its sum is s_t for agreement 1
    """
    return cell_shares(boxes, np.concatenate([[0.0], (np.arange(cells - 1) + 0.5) * pitch, [window]]))


def cell_shares(boxes: Boxes, edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """The share of each whole box in each cell of a square grid, summed over the boxes.

    boxes : float32, shape (N, 4), xyxy, *not* clipped. edges : rising, shape (C + 1,), of rows and columns alike
    -> float32, shape (C, C), [row, column]
    """
    cells = len(edges) - 1
    target = np.zeros((cells, cells), np.float32)
    for x1, y1, x2, y2 in boxes:
        across = np.diff(edges.clip(x1, x2)) / max(x2 - x1, 1e-6)
        down = np.diff(edges.clip(y1, y2)) / max(y2 - y1, 1e-6)
        target += np.outer(down, across).astype(np.float32)
    return target
