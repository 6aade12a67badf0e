"""Reg-NS and Det trained together on one trunk; apart again when exported."""

from torch import Tensor, nn

from training.models.det import Det
from training.models.regns import RegNS, regns_loss
from training.models.trunks.build import build_trunk, make_frozen_norm

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
