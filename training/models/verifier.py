"""Verifier: the second stage that says of a candidate, in the middle of its own window, whether it is a mitotic figure."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.trunk import Trunk

WINDOW_PX = 64
"""16 um: a figure and its nearest neighbours. More context comes from elsewhere than the crops, and tells sources apart."""
_FEATURES = 512 + 1024
_EDGE_PX = 2.0
_GROUND = 200.0
"""Grey value outside the disc."""
_SMOOTHING = 0.02


class Verifier(nn.Module):
    """Stages 2 and 3 of the trunk, averaged, and one linear layer over both.

    Only the disc inscribed in the window is seen, so that a window may be turned by any angle without showing corners
    that a crop does not have. In training `forward(images, labels)` gives the loss, in evaluation `forward(images)` the
    logit.

    images : float32, (N, 3, 64, 64), RGB 0..255. labels : float32, (N,), 1 for a mitotic figure in the middle
    """

    disc: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(3)
        self.dropout = nn.Dropout(0.3)
        self.fc = nn.Linear(_FEATURES, 1)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)
        self.register_buffer("disc", _disc(WINDOW_PX), persistent=False)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Any:
        """See the class."""
        maps = self.trunk(images * self.disc + (1 - self.disc) * _GROUND)
        # Stage 2 sees 8 x 8 places: its middle 4 x 4 hold the candidate.
        pooled = torch.cat([maps[1][:, :, 2:-2, 2:-2].float().mean((2, 3)), maps[2].float().mean((2, 3))], 1)
        logits = self.fc(self.dropout(pooled)).float().squeeze(1)
        if not self.training:
            return logits
        if labels is None:
            raise ValueError("training needs labels")
        soft = labels * (1 - 2 * _SMOOTHING) + _SMOOTHING
        return {"cross_entropy": F.binary_cross_entropy_with_logits(logits, soft)}


def _disc(side: int) -> Tensor:
    """1 inside the inscribed circle, 0 outside, with a soft edge. -> float32, (side, side)"""
    offset = (torch.arange(side) - (side - 1) / 2).abs()
    radius = torch.hypot(offset[:, None], offset[None, :])
    return ((side / 2 - radius) / _EDGE_PX).clamp(0, 1)
