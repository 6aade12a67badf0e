"""What a head of a sub-tile model is, and the heads by name."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Protocol

from torch import nn

from serving.plugins import Registry
from training.models.trunks.registry import Norm, Trunk

Learns = Literal["scores", "boxes"]
"""Of each sub-tile its score s_t, or the boxes of its figures with their agreement."""


class Head(Protocol):
    """What one registered class states.

    learns : what training gives the model
    thresholds : of the model's output, at which sub-tiles are judged
    output : what its numbers mean, for model cards
    """

    learns: ClassVar[Learns]
    thresholds: ClassVar[Sequence[float]]
    output: ClassVar[str]

    @classmethod
    def norm(cls, *, pretrained: bool) -> Norm:
        """What becomes of the trunk's batch norm."""

    @classmethod
    def model(cls, trunk: Trunk, side: int) -> nn.Module:
        """A model of the head on a trunk, that shows sub-tiles to it at `side` px.

        In training its forward takes images and targets, and gives named losses; in evaluation it takes images alone.
        """


HEADS: Registry[type[Head]] = Registry("head", "training.models.heads")
