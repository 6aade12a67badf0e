"""Detectors of torchvision with random weights, and their contracts."""

from typing import Any

import torch
import torchvision
from torch import nn

from serving.adoption.adopting import make_windows
from serving.adoption.contract import AdoptionContract
from tests.unit.serving.adoption.foreign import THRESHOLD

IMAGENET: dict[str, Any] = {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BUILDERS = ["retinanet_resnet50_fpn", "fcos_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"]


def state_contract(builder: str = BUILDERS[0], **changed: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "architecture": builder,
        "licence": "BSD-3-Clause",
        "mpp": 0.5,
        "window_px": 128,
        "overlap_px": 64,
        "pixels": {"normalisation": IMAGENET},
        "output": {"form": "torchvision", "builder": builder, "classes": 2},
        "threshold": THRESHOLD,
        "least_probability": 0.01,
        **changed,
    }


def build_detector(builder: str) -> nn.Module:
    """Random weights whose normalisation knows the statistics of the windows, so that scores depend on what is seen.

    Weights are not enlarged: rounding errors, which differ between processors, grow with them and must stay far below what adoption allows.
    """
    torch.manual_seed(3)
    network: nn.Module = getattr(torchvision.models.detection, builder)(
        weights=None, weights_backbone=None, num_classes=2
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    windows = torch.from_numpy(make_windows(AdoptionContract.model_validate(state_contract(builder))))
    mean, std = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        network.backbone.train()((windows.permute(0, 3, 1, 2).float() / 255 - mean) / std)  # type: ignore[union-attr]
        for name, weights in network.named_parameters():
            if name.endswith("classification_head.cls_logits.bias"):
                weights.zero_()
    return network.eval()
