"""ResNet50 v1, the trunk of both models."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck
from torchvision.ops.misc import FrozenBatchNorm2d

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Feature maps of ImageNet's ResNet50 v1, with its normalisation inside.

    Batch statistics stay ImageNet's: windows from crops and fields in one batch would otherwise give statistics that no
    slide has. `forward` takes RGB in 0..255, float32, shape (N, 3, H, W) and returns the stages of `depth` 1 to 4, with
    strides 4, 8, 16, 32 and 256, 512, 1024, 2048 channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, depth: int) -> None:
        super().__init__()
        net = resnet50(weights=None, norm_layer=FrozenBatchNorm2d)
        for stage in (net.layer2, net.layer3, net.layer4):
            block = stage[0]
            if not isinstance(block, Bottleneck):
                raise TypeError("torchvision's resnet50 is not made of Bottleneck blocks")
            # The ImageNet file is of ResNet v1, whose stride sits on the first convolution.
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.stages = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4][:depth])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps from fine to coarse."""
        x = self.stem((images - self.mean) / self.std)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def load_imagenet(trunk: Trunk, path: Path) -> None:
    """Fill `trunk` from a safetensors file with torchvision's names.

    Raises
    ------
    FileNotFoundError
        If the file is not there; the message says how to make it.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"no ImageNet weights at {path}; give --imagenet a safetensors file of ResNet50 v1 under torchvision's names"
        )
    trunk.load_state_dict(trunk_state(load_file(path), len(trunk.stages)))


def trunk_state(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Torchvision's names turned into `Trunk`'s, float32, without the classifier and stages deeper than `depth`."""
    stem = {"conv1": "stem.0", "bn1": "stem.1"}
    renamed = {}
    for name, value in state.items():
        top, _, rest = name.partition(".")
        if top in stem:
            renamed[f"{stem[top]}.{rest}"] = value.float()
        elif top.startswith("layer") and int(top[5:]) <= depth:
            renamed[f"stages.{int(top[5:]) - 1}.{rest}"] = value.float()
    return {k: v for k, v in renamed.items() if not k.endswith("num_batches_tracked")}
