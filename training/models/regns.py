"""Reg-NS: regresses s_t, the labelers' agreement times visible area summed over the figures of a sub-tile."""

import torch
from torch import Tensor, nn

CELLS = 8
"""Side of the last feature map of a 250 px sub-tile."""
CELL_PITCH_PX = 32.0


class RegNS(nn.Module):
    """The head on the trunk's last stage.

    The paper replaces ResNet50's last layer by one that regresses s_t from averaged features. s_t is itself a sum over
    figures of visible area, so this head predicts each cell's share, in 0..1, and adds the shares up: the same
    quantity, and boxes can supervise where it lies.
    """

    def __init__(self, channels: int = 2048) -> None:
        super().__init__()
        self.share = nn.Conv2d(channels, 1, 1)
        nn.init.normal_(self.share.weight, std=0.01)
        if self.share.bias is not None:
            nn.init.constant_(self.share.bias, -4.0)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the shares. features : (N, C, 8, 8) -> (N, 8, 8)."""
        logits: Tensor = self.share(features)
        return logits.squeeze(1)

    @staticmethod
    def score(logits: Tensor) -> Tensor:
        """Score of each sub-tile from its cells' logits: (N, 8, 8) -> (N,)."""
        return logits.float().sigmoid().sum(dim=(1, 2))


def regns_loss(logits: Tensor, cell_targets: Tensor) -> Tensor:
    """Mean squared error of s_t (paper) plus the cells' cross-entropy, a sum over cells, which says where.

    logits, cell_targets : float32, shape (N, 8, 8)
    """
    score, target = RegNS.score(logits), cell_targets.sum(dim=(1, 2))
    cells = nn.functional.binary_cross_entropy_with_logits(logits.float(), cell_targets.clamp(0, 1), reduction="none")
    return torch.mean((score - target) ** 2) + cells.sum(dim=(1, 2)).mean()
