"""Reg-NS and Det trained together on one trunk; apart again when exported."""

import torch
from torch import Tensor, nn

from training.models.det import Det
from training.models.trunks.timm_nets import build_trunk, make_frozen_norm

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


RELEASED_TRUNK = "resnet50-v1"
SCREENING_WEIGHT = 0.5
"""Brings the screening loss, a sum over 64 cells, near the size of Det's four losses."""


class CascadeNet(nn.Module):
    """One trunk, two heads or Det's alone.

    Few labelled fields exist, and two models that learn from the same windows at once share what each learns and half
    of the arithmetic. Each is exported with its own copy of the trunk and serves alone. Batch norm keeps the initial
    weights' statistics: windows from crops and fields in one batch would otherwise give statistics that no slide has. Being
    constant, it is folded into the convolutions, which halves the time of a step.

    Parameters
    ----------
    screening
        Whether there is a Reg-NS; without it the trunk ends with stage 3.
    """

    def __init__(self, backbone: str = RELEASED_TRUNK, *, screening: bool = True) -> None:
        super().__init__()
        self.trunk = build_trunk(backbone, make_frozen_norm(backbone), 4 if screening else 3)
        self.regns = RegNS(self.trunk.channels[-1]) if screening else None
        self.det = Det(self.trunk.channels[:3])

    def forward(self, images: Tensor, cell_targets: Tensor, boxes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named losses of a batch; their sum is what training minimises.

        images : float32, (N, 3, 250, 250), RGB 0..255. cell_targets : float32, (N, 8, 8)
        """
        maps = self.trunk(images)
        _, detection = self.det(maps, boxes)
        if self.regns is None:
            return dict(detection)
        return {"screening": SCREENING_WEIGHT * regns_loss(self.regns(maps[3]), cell_targets), **detection}
