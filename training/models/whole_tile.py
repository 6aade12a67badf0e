"""Reg-NS over a whole tile at once: neighbouring sub-tiles share the features of what they both show."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.cascade import CELL_PITCH_PX, CELLS, RELEASED_TRUNK, RegNS
from training.models.trunks.timm_nets import build_trunk, make_frozen_norm

STRIDE_PX = 125
CELLS_PER_STRIDE = CELLS // 2
SCALE = CELLS_PER_STRIDE * CELL_PITCH_PX / STRIDE_PX
"""128 / 125: enlarged by so much, the cells of all sub-tiles of a lattice fall on one grid."""
_FROZEN_STAGES = 3
_HALF_CELL_PX = int(CELL_PITCH_PX) // 2
"""The trunk's cell k looks at the pixels around 32 k; moved by half a cell, it looks at the middle of 32 k to 32 k + 32."""


class WholeTileRegNS(nn.Module):
    """Reg-NS's trunk and head, fully convolutional.

    A sub-tile's score is the sum of the shares of its 8 x 8 cells, as in `RegNS`, but each cell is computed once for all
    sub-tiles that hold it, and at a sub-tile's border the net sees what is there in place of zeros. Only stage 4 and the
    head learn: the stages before are shared with Det and the verifier.

    In training `forward(images, cell_targets)` gives named losses, in evaluation `forward(images)` the scores.

    images : float32, (N, 3, 128 m, 128 n), RGB 0..255, tiles enlarged by `SCALE`
    cell_targets : float32, (N, 4 m, 4 n), each cell's share of the figures. scores : float32, (N, m - 1, n - 1)
    """

    def __init__(self, backbone: str = RELEASED_TRUNK) -> None:
        super().__init__()
        self.trunk = build_trunk(backbone, make_frozen_norm(backbone))
        self.head = RegNS(self.trunk.channels[-1])
        self.trunk.freeze(_FROZEN_STAGES)

    def forward(self, images: Tensor, cell_targets: Tensor | None = None) -> Any:
        """See the class."""
        logits = self.head(self.trunk(images[:, :, _HALF_CELL_PX:, _HALF_CELL_PX:])[-1]).float()
        if not self.training:
            return _sums(logits.sigmoid())
        if cell_targets is None:
            raise ValueError("training needs targets")
        cells = F.binary_cross_entropy_with_logits(logits, cell_targets.clamp(0, 1), reduction="none")
        return {
            # Mean squared error of s_t (paper), and the cells' cross-entropy, a sum over a sub-tile's, which says where.
            "score": torch.mean((_sums(logits.sigmoid()) - _sums(cell_targets)) ** 2),
            "cells": _sums(cells).mean(),
        }


def _sums(cells: Tensor) -> Tensor:
    """Of the cells of each sub-tile: (N, 4 m, 4 n) -> (N, m - 1, n - 1)."""
    return F.avg_pool2d(cells.unsqueeze(1), CELLS, CELLS_PER_STRIDE).squeeze(1) * CELLS**2
