"""Reg-NS and Det trained together on one trunk; apart again when exported."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.models.det import Det
from training.models.regns import RegNS, regns_loss
from training.models.trunk import Trunk

SCREENING_WEIGHT = 0.5
"""Brings the screening loss, a sum over 64 cells, near the size of Det's four losses."""


class Cascade(nn.Module):
    """One trunk, two heads.

    Few labelled fields exist, and two models that learn from the same windows at once share what each learns and half
    of the arithmetic. Each is exported with its own copy of the trunk and serves alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(4)
        self.regns = RegNS()
        self.det = Det()

    def forward(self, images: Tensor, cell_targets: Tensor, boxes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named losses of a batch; their sum is what training minimises.

        images : float32, (N, 3, 250, 250), RGB 0..255. cell_targets : float32, (N, 8, 8)
        """
        maps = self.trunk(images)
        _, detection = self.det(maps, boxes)
        return {"screening": SCREENING_WEIGHT * regns_loss(self.regns(maps[3]), cell_targets), **detection}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What both heads say of a batch, on the CPU."""

    scores: Tensor
    detections: list[dict[str, Tensor]]


@torch.inference_mode()
def predict(model: Cascade, images: Tensor) -> Prediction:
    """Scores and detections of windows. images : float32, (N, 3, 250, 250), RGB 0..255."""
    model.eval()
    maps = model.trunk(images)
    detections, _ = model.det(maps)
    return Prediction(RegNS.score(model.regns(maps[3])), detections)
