"""The ResNets below the study's models, and the feature pyramid over one for detectors."""

from collections.abc import Callable
from typing import Literal

from torch import nn
from torchvision.models import ResNet, resnet18, resnet50
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock
from torchvision.ops.misc import FrozenBatchNorm2d

Backbone = Literal["resnet50", "resnet18", "micro"]
"""micro: a ResNet of four blocks, 16 to 128 channels, for tests and the smaller scales."""


def resnet(backbone: Backbone, norm: Callable[..., nn.Module] = nn.BatchNorm2d) -> ResNet:
    """A ResNet with random weights."""
    if backbone == "resnet50":
        return resnet50(weights=None, norm_layer=norm)
    if backbone == "resnet18":
        return resnet18(weights=None, norm_layer=norm)
    net = ResNet(BasicBlock, [1, 1, 1, 1], norm_layer=norm)
    net.inplanes = 16
    net.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
    net.bn1 = norm(16)
    for number, channels in enumerate((16, 32, 64, 128), 1):
        setattr(net, f"layer{number}", net._make_layer(BasicBlock, channels, 1, stride=1 if number == 1 else 2))
    net.fc = nn.Linear(128, 1)
    return net


def pyramid(backbone: Backbone, channels: int, *, pretrained: bool) -> BackboneWithFPN:
    """A feature pyramid over a ResNet, as torchvision's detectors have it.

    pretrained : weights will come from another task: stem and first stage stay as they are and batch norm keeps its
        statistics. Otherwise everything is learnt, with batch norm of its own
    """
    net = resnet(backbone, FrozenBatchNorm2d if pretrained else nn.BatchNorm2d)
    if pretrained:
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(name.startswith(("layer2", "layer3", "layer4")))
    stages = [net.inplanes // 8 * 2**i for i in range(4)]
    return BackboneWithFPN(net, {f"layer{i + 1}": str(i) for i in range(4)}, stages, channels)
