"""Arithmetic on a batch of boxes that ONNX's tracing exporter gets right: no loop over windows, no result of varying size."""

import torch
from torch import Tensor
from torchvision.ops import nms

_MAX_LOG_RATIO = 4.135166556742356
"""log(1000 / 16), torchvision's limit to how much a box may grow."""


def decode(anchors: Tensor, deltas: Tensor, weights: tuple[float, float, float, float], side: float) -> Tensor:
    """Boxes (..., 4) xyxy from anchors and regression output, clipped to a window of `side` px (Ren et al., 2015)."""
    size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * size
    moved = deltas[..., :2] / torch.tensor(weights[:2], device=deltas.device) * size + centre
    grown = size * torch.exp(
        (deltas[..., 2:] / torch.tensor(weights[2:], device=deltas.device)).clamp(max=_MAX_LOG_RATIO)
    )
    return torch.cat([moved - 0.5 * grown, moved + 0.5 * grown], -1).clamp(0, side)


def suppress(boxes: Tensor, scores: Tensor, groups: int, group: Tensor, *, iou: float, side: float) -> Tensor:
    """Which boxes survive non-maximum suppression within their window and group. (N, M, 4), (N, M) -> bool (N, M).

    One suppression serves the whole batch: each window's and group's boxes are shifted to a place of their own.
    """
    n, m = scores.shape
    window = torch.arange(n, device=boxes.device).reshape(n, 1).to(boxes.dtype)
    shift = ((window * groups + group) * (side + 1.0)).unsqueeze(-1)
    kept = nms((boxes + shift).reshape(-1, 4), scores.reshape(-1), iou)
    marks = torch.zeros(n * m, device=boxes.device).scatter(0, kept, torch.ones_like(kept, dtype=torch.float32))
    return marks.reshape(n, m) > 0
