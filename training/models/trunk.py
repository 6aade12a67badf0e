"""ResNet50 v1, the trunk of both models."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck

BATCH_NORM_EPS = 1e-5
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """Feature maps of ImageNet's ResNet50 v1, with its normalisation inside.

    Batch norm keeps ImageNet's statistics: windows from crops and fields in one batch would otherwise give statistics
    that no slide has. Being constant, it is folded into the convolutions, which halves the time of a step. `forward`
    takes RGB in 0..255, float32, shape (N, 3, H, W) and returns the stages of `depth` 1 to 4, with strides 4, 8, 16, 32
    and 256, 512, 1024, 2048 channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, depth: int) -> None:
        super().__init__()
        net = resnet50(weights=None, norm_layer=_Folded)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.bias = nn.Parameter(torch.zeros(module.out_channels))
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


class _Folded(nn.Identity):
    """Stands where torchvision puts batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()


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
    trunk.load_state_dict(folded_state(load_file(path), len(trunk.stages)))


def folded_state(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Torchvision's tensors with each batch norm folded into its convolution, under `Trunk`'s names, float32."""
    result = {}
    for name in state:
        top = name.partition(".")[0]
        if not (name.endswith(("conv1.weight", "conv2.weight", "conv3.weight", "downsample.0.weight"))):
            continue
        if top.startswith("layer") and int(top[5:]) > depth:
            continue
        conv = name.removesuffix(".weight")
        norm = conv.removesuffix("0") + "1" if conv.endswith("downsample.0") else conv.replace("conv", "bn")
        gain, shift, mean, var = (
            state[f"{norm}.{part}"].float() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain * (var + BATCH_NORM_EPS).rsqrt()
        target = "stem.0" if top == "conv1" else f"stages.{int(top[5:]) - 1}.{conv.partition('.')[2]}"
        result[f"{target}.weight"] = state[name].float() * scale.reshape(-1, 1, 1, 1)
        result[f"{target}.bias"] = shift - mean * scale
    return result
