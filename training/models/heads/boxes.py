"""Heads that box figures: those of the four Det classes."""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from training.models.heads.registry import HEADS, Learns
from training.models.sub_tile_detector import SubTileDetector
from training.models.trunks.registry import Norm, Trunk

DET_THRESHOLDS = (0.925, 0.95, 0.975)
"""Probabilities at which Det and its variants are judged (paper, Table 9)."""


@HEADS.register("boxes")
class Boxes:
    """Det and Det-NS: torchvision's Faster R-CNN."""

    learns: ClassVar[Learns] = "boxes"
    thresholds: ClassVar[Sequence[float]] = DET_THRESHOLDS
    output: ClassVar[str] = "boxes of figures with probabilities"
    weighted: ClassVar[bool] = False

    @classmethod
    def norm(cls, *, pretrained: bool) -> Norm:
        """See `Head`: initial weights of another task keep their batch norm, as in torchvision's detectors."""
        return "frozen" if pretrained else "learnt"

    @classmethod
    def model(cls, trunk: Trunk, side: int) -> nn.Module:
        """See `Head`."""
        return SubTileDetector(trunk, side, weighted=cls.weighted)


@HEADS.register("weighted boxes")
class WeightedBoxes(Boxes):
    """Det-WL and Det-NS-WL: the class loss weighs each figure by its agreement."""

    weighted = True
