"""What a trunk is, and the trunks by name."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from serving.plugins import Registry
from training.models.weights import Weights

Norm = Literal["learnt", "frozen", "folded"]
"""What becomes of batch norm: learnt; kept as the initial weights have it; or, kept, folded into the convolutions."""
STRIDES = (4, 8, 16, 32)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Feature maps of pictures, from fine to coarse, with strides 4, 8, 16 and 32.

    `forward` takes RGB in 0..255, float32, shape (N, 3, H, W), and normalises it with the mean and standard deviation
    of ImageNet.

    Parameters
    ----------
    channels
        Channels of each map; as many maps as channels.
    """

    mean: Tensor
    std: Tensor
    strides: ClassVar[tuple[int, ...]] = STRIDES

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of pictures."""
        return self.maps(self.normalise(images))

    def normalise(self, images: Tensor) -> Tensor:
        """RGB in 0..255 minus mean, over standard deviation."""
        result: Tensor = (images - self.mean) / self.std
        return result

    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps of normalised pictures."""
        raise NotImplementedError  # abstract

    def stages(self) -> list[list[nn.Module]]:
        """The modules of the stem and of each stage after it, in order."""
        raise NotImplementedError  # abstract

    def shorten(self, depth: int) -> None:
        """Drop what only maps after the first `depth` need."""
        raise NotImplementedError  # abstract

    def fill(self, weights: Weights) -> None:
        """Take initial weights; raises `ValueError` if they do not fit."""
        raise NotImplementedError  # abstract

    def freeze(self, stages: int | None) -> None:
        """Let the stem and so many stages after it keep their weights; None lets all learn."""
        if stages is not None:
            for modules in self.stages()[: stages + 1]:
                for module in modules:
                    module.requires_grad_(requires_grad=False)


BuildTrunk = Callable[[Norm, int], Trunk]
"""Batch norm and number of maps -> a trunk with random weights."""

TRUNKS: Registry[BuildTrunk] = Registry("trunk", "training.models.trunks")


def missing_names(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Tensors that a net needs and weights lack; counters of batches are not needed."""
    return [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
