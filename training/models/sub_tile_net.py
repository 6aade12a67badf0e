"""Nets that give one number a sub-tile, and the heads that make them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.models.heads.registry import Learns
from training.models.trunks.registry import Norm, Trunk


class ScoreHead(nn.Module):
    """One linear layer on the averaged features of the trunk's last map; a subclass states its loss and its score.

    Parameters
    ----------
    channels
        Of the trunk's last map.
    """

    learns: ClassVar[Learns] = "scores"
    thresholds: ClassVar[Sequence[float]]
    output: ClassVar[str]
    outputs: ClassVar[int] = 1
    """Numbers of the linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, self.outputs)

    @classmethod
    def norm(cls, *, pretrained: bool) -> Norm:
        """See `Head`."""
        return "learnt"

    @classmethod
    def model(cls, trunk: Trunk, side: int) -> nn.Module:
        """See `Head`."""
        return SubTileNet(trunk, cls(trunk.channels[-1]), side)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The layer's numbers, (N, `outputs`), of a trunk's maps."""
        output: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(maps[-1], 1), 1))
        return output.float()

    def losses(self, output: Tensor, scores: Tensor) -> dict[str, Tensor]:
        """Named losses of `forward`'s output against s_t, float32, (N,)."""
        raise NotImplementedError  # abstract

    def score(self, output: Tensor) -> Tensor:
        """The score of each sub-tile, (N,), of `forward`'s output."""
        raise NotImplementedError  # abstract

    def validation_loss(self, scores: Tensor, targets: Tensor) -> float:
        """Loss of scores against s_t, both float32, (N,)."""
        raise NotImplementedError  # abstract


class SubTileNet(nn.Module):
    """BC, Reg and Reg-NS: a trunk and a head that gives one number a sub-tile.

    In training `forward(images, scores)` gives the head's losses; in evaluation `forward(images)` gives the scores.

    images : float32, (N, 3, S, S), RGB 0..255, resized to `side` px inside. scores : s_t, float32, (N,)
    """

    def __init__(self, trunk: Trunk, head: ScoreHead, side: int) -> None:
        super().__init__()
        self.trunk, self.head, self.side = trunk, head, side

    def forward(self, images: Tensor, scores: Tensor | None = None) -> Any:
        """See the class."""
        output = self.head(self.trunk.maps(self.prepare(images)))
        if not self.training:
            return self.head.score(output)
        if scores is None:
            raise ValueError("training needs the scores s_t")
        return self.head.losses(output, scores)

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised and resized to `side` px, where they are not of that size already."""
        x = self.trunk.normalise(images)
        if x.shape[-1] == self.side:
            return x
        return F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
