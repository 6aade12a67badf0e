"""ResNets: torchvision's, with the strides of v1.5 or v1, and a small one."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18, resnet50
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops.misc import FrozenBatchNorm2d

from training.models.trunks.registry import TRUNKS, Norm, Trunk, missing_names
from training.models.weights import Strides, Weights

BATCH_NORM_EPS = 1e-5


class ResNetTrunk(Trunk):
    """A ResNet under torchvision's names. Its weights state where its strides lie, and place them when they are loaded.

    Parameters
    ----------
    net
        Whose modules to take.
    depth
        How many stages.
    strides
        The only ones that initial weights may have; None takes those of the weights.
    """

    v1_strides: Tensor

    def __init__(self, net: ResNet, norm: Norm, depth: int, strides: Strides | None = None) -> None:
        super().__init__(tuple(net.inplanes // 8 * 2**stage for stage in range(depth)))
        self.norm, self.required = norm, strides
        self.conv1, self.bn1 = net.conv1, net.bn1
        self.depth = depth
        for stage in range(1, depth + 1):
            self.add_module(f"layer{stage}", getattr(net, f"layer{stage}"))
        if norm == "folded":
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    module.bias = nn.Parameter(torch.zeros(module.out_channels))
        self.register_buffer("v1_strides", torch.tensor(data=False))
        self.place_strides(strides or "v1.5")
        self.register_load_state_dict_post_hook(_place_loaded_strides)  # type: ignore[no-untyped-call]

    def maps(self, images: Tensor) -> list[Tensor]:
        """See `Trunk`."""
        x = nn.functional.max_pool2d(nn.functional.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        maps = []
        for stage in range(1, self.depth + 1):
            x = getattr(self, f"layer{stage}")(x)
            maps.append(x)
        return maps

    def stages(self) -> list[list[nn.Module]]:
        """See `Trunk`."""
        return [[self.conv1, self.bn1], *([getattr(self, f"layer{i}")] for i in range(1, self.depth + 1))]

    def shorten(self, depth: int) -> None:
        """See `Trunk`."""
        for stage in range(depth + 1, self.depth + 1):
            delattr(self, f"layer{stage}")
        self.depth, self.channels = depth, self.channels[:depth]

    def place_strides(self, strides: Strides) -> None:
        """Put the strides of bottlenecks where v1 or v1.5 has them; other blocks have but one place for theirs."""
        self.v1_strides.fill_(strides == "v1")
        for block in self.modules():
            if isinstance(block, Bottleneck) and (2, 2) in (block.conv1.stride, block.conv2.stride):
                block.conv1.stride, block.conv2.stride = ((2, 2), (1, 1)) if strides == "v1" else ((1, 1), (2, 2))

    def fill(self, weights: Weights) -> None:
        """See `Trunk`. Weights of bottlenecks must state their strides, since nothing shows where wrong ones lie."""
        bottlenecks = any(isinstance(module, Bottleneck) for module in self.modules())
        if bottlenecks and weights.strides is None:
            raise ValueError(
                f"{weights.source} does not state whether it is ResNet v1 or v1.5 (where the strides lie); say which behind "
                "the file, e.g. `--init imagenet FILE v1`, torchvision's own being v1.5, or state it in the file's metadata: "
                'architecture "resnet50 v1"'
            )
        if bottlenecks and self.required and weights.strides != self.required:
            raise ValueError(f"{weights.source} is ResNet {weights.strides}, and this trunk is {self.required}")
        given = {k: v.float() for k, v in weights.tensors.items()}
        if self.norm == "folded" and any(name.endswith("running_var") for name in given):
            given = fold_batch_norm(given)
        wanted = self.state_dict()
        given = {k: v for k, v in given.items() if k in wanted and k != "v1_strides"}
        if missing := missing_names({k: v for k, v in wanted.items() if k != "v1_strides"}, given):
            raise ValueError(
                f"{weights.source}: the weights lack {len(missing)} of the trunk's tensors, e.g. {missing[0]}"
            )
        self.place_strides(weights.strides or "v1.5")
        self.load_state_dict({**given, "v1_strides": self.v1_strides}, strict=False)


def fold_batch_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a ResNet with each batch norm folded into the convolution before it, float32."""
    result = {}
    for name in state:
        if not name.endswith(("conv1.weight", "conv2.weight", "conv3.weight", "downsample.0.weight")):
            continue
        conv = name.removesuffix(".weight")
        norm = conv.removesuffix("0") + "1" if conv.endswith("downsample.0") else conv.replace("conv", "bn")
        gain, shift, mean, var = (
            state[f"{norm}.{part}"].float() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain * (var + BATCH_NORM_EPS).rsqrt()
        result[f"{conv}.weight"] = state[name].float() * scale.reshape(-1, 1, 1, 1)
        result[f"{conv}.bias"] = shift - mean * scale
    return result


def _place_loaded_strides(trunk: nn.Module, keys: Any) -> None:
    if isinstance(trunk, ResNetTrunk):
        trunk.place_strides("v1" if trunk.v1_strides else "v1.5")


class _Folded(nn.Identity):
    """Stands where torchvision puts batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()


_NORMS: dict[Norm, Callable[..., nn.Module]] = {
    "learnt": nn.BatchNorm2d,
    "frozen": FrozenBatchNorm2d,
    "folded": _Folded,
}


@TRUNKS.register("resnet50")
def resnet50_trunk(norm: Norm, depth: int) -> Trunk:
    """Torchvision's ResNet50, with the strides that its initial weights state."""
    return ResNetTrunk(resnet50(weights=None, norm_layer=_NORMS[norm]), norm, depth)


@TRUNKS.register("resnet50-v1")
def resnet50_v1_trunk(norm: Norm, depth: int) -> Trunk:
    """ResNet50 v1, the trunk of the released models."""
    return ResNetTrunk(resnet50(weights=None, norm_layer=_NORMS[norm]), norm, depth, "v1")


@TRUNKS.register("resnet18")
def resnet18_trunk(norm: Norm, depth: int) -> Trunk:
    """Torchvision's ResNet18."""
    return ResNetTrunk(resnet18(weights=None, norm_layer=_NORMS[norm]), norm, depth)


@TRUNKS.register("micro")
def micro_trunk(norm: Norm, depth: int) -> Trunk:
    """A ResNet of four blocks, 16 to 128 channels, for tests and the smaller scales."""
    layer = _NORMS[norm]
    net = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=layer)
    net.inplanes = 16
    net.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
    net.bn1 = layer(16)
    for number, channels in enumerate((16, 32, 64, 128), 1):
        setattr(net, f"layer{number}", net._make_layer(BasicBlock, channels, 1, stride=1 if number == 1 else 2))
    return ResNetTrunk(net, norm, depth)
