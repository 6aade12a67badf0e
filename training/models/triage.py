"""Triage: a light net over whole tiles that says where the cascade looks at all."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from training.models.trunks.timm_nets import build_trunk

CELL_PX = 32
"""Side of a cell, px of 0.25 um."""
TRIAGE_TRUNK = "timm/efficientnet_lite0"
_REDUCTION = 2
"""The net sees 0.5 um/px, a quarter of the pixels."""
_MAPS = 3
"""Of the trunk, those of strides 4, 8 and 16: 16 px of 0.5 um are a cell."""
_HALF_CELL_PX = CELL_PX // _REDUCTION // 2
"""The trunk's cell k looks at the pixels around 16 k; moved by half a cell, it looks at the middle of 16 k to 16 k + 16."""
_HIDDEN = 64
_FOCUS, _FIGURES = 2.0, 0.5
"""Exponent of the focal loss, and the weight of cells with a figure (Lin et al., "Focal loss for dense object detection", 2017)."""
_HELD = 0.15
"""A cell that holds such a share of a figure's box shows it; one that holds less of it is neither taught nor missed."""
_PRIOR_LOGIT = -4.0
"""Where probabilities start: few cells show a figure."""


class TriageNet(nn.Module):
    """The trunk's maps up to stride 16 at 0.5 um/px, and two convolutions of 1 x 1 px over the last.

    In training `forward(images, cell_targets)` gives the loss, in evaluation `forward(images)` the logit of each cell.

    images : uint8 or float32, (N, 3, 32 m, 32 n), RGB 0..255, 0.25 um/px
    cell_targets : float32, (N, m, n), each cell's share of the figures' boxes. logits : float32, (N, m, n)
    """

    def __init__(self, backbone: str = TRIAGE_TRUNK) -> None:
        super().__init__()
        self.trunk = build_trunk(backbone, "learnt", _MAPS)
        last = nn.Conv2d(_HIDDEN, 1, 1)
        nn.init.normal_(last.weight, std=0.01)
        if last.bias is not None:
            nn.init.constant_(last.bias, _PRIOR_LOGIT)
        self.head = nn.Sequential(nn.Conv2d(self.trunk.channels[-1], _HIDDEN, 1), nn.ReLU6(), last)

    def forward(self, images: Tensor, cell_targets: Tensor | None = None) -> Any:
        """See the class."""
        halved = F.avg_pool2d(images.float(), _REDUCTION)
        features = self.trunk(halved[:, :, _HALF_CELL_PX:, _HALF_CELL_PX:])[-1]
        logits: Tensor = self.head(features).squeeze(1).float()
        if not self.training:
            return logits
        if cell_targets is None:
            raise ValueError("training needs targets")
        shown, taught = cell_targets >= _HELD, (cell_targets >= _HELD) | (cell_targets == 0)
        loss = sigmoid_focal_loss(logits, shown.float(), alpha=_FIGURES, gamma=_FOCUS)
        return {"focal": (loss * taught).sum() / shown.sum().clamp(min=1)}
