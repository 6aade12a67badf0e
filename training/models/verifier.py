"""Verifier: the second stage that says of a candidate, in the middle of its own window, whether it is a mitotic figure."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.trunks.timm_nets import build_trunk, make_frozen_norm

WINDOW_PX = 64
"""Of the released verifier: 16 um, a figure and its nearest neighbours."""
RELEASED_TRUNK = "resnet50-v1"
FIGURE = 0
"""The class of a mitotic figure."""
_MIDDLE_PX = 32
"""Of the finer map, the part around the candidate that is averaged."""
_EDGE_PX = 2.0
_GROUND = 200.0
"""Grey value outside the disc."""


class Verifier(nn.Module):
    """The trunk's maps of strides 8 and 16, averaged, and one linear layer over both.

    Only the disc inscribed in the window is seen, so that a window may be turned by any angle without showing corners
    that a crop does not have. In training `forward(images, labels)` gives the loss, in evaluation `forward(images)` the
    logit of a mitotic figure.

    images : float32, (N, 3, window_px, window_px), RGB 0..255. labels : float32, (N, C), the share of each class, figures
    first; soft labels teach how sure raters were

    Parameters
    ----------
    classes
        Number of classes; 2 for a figure and what is none.
    smoothing
        Share of each label that goes to the other classes.
    """

    disc: Tensor

    def __init__(
        self,
        backbone: str = RELEASED_TRUNK,
        *,
        window_px: int = WINDOW_PX,
        classes: int = 2,
        smoothing: float = 0.02,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.window_px, self.classes, self.smoothing = window_px, classes, smoothing
        self.trunk = build_trunk(backbone, make_frozen_norm(backbone), 3)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(sum(self.trunk.channels[1:3]), 1 if classes == 2 else classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)
        self.register_buffer("disc", _disc(window_px), persistent=False)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Any:
        """See the class."""
        maps = self.trunk(images * self.disc + (1 - self.disc) * _GROUND)
        edge = (self.window_px - _MIDDLE_PX) // 2 // self.trunk.strides[1]
        fine = maps[1][:, :, edge:-edge, edge:-edge] if edge else maps[1]
        pooled = torch.cat([fine.float().mean((2, 3)), maps[2].float().mean((2, 3))], 1)
        outputs = self.fc(self.dropout(pooled)).float()
        if not self.training:
            return figure_logit(outputs)
        if labels is None:
            raise ValueError("training needs labels")
        if self.classes == 2:
            soft = labels[:, FIGURE] * (1 - 2 * self.smoothing) + self.smoothing
            return {"cross_entropy": F.binary_cross_entropy_with_logits(outputs.squeeze(1), soft)}
        return {"cross_entropy": F.cross_entropy(outputs, labels, label_smoothing=2 * self.smoothing)}


def figure_logit(outputs: Tensor) -> Tensor:
    """Log odds of a figure, (N,), from the linear layer's numbers, (N, 1) of two classes or (N, C)."""
    if outputs.shape[1] == 1:
        return outputs.squeeze(1)
    return outputs[:, FIGURE] - torch.logsumexp(outputs[:, FIGURE + 1 :], 1)


def _disc(side: int) -> Tensor:
    """1 inside the inscribed circle, 0 outside, with a soft edge. -> float32, (side, side)."""
    offset = (torch.arange(side) - (side - 1) / 2).abs()
    radius = torch.hypot(offset[:, None], offset[None, :])
    return ((side / 2 - radius) / _EDGE_PX).clamp(0, 1)
