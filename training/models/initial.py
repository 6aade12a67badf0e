"""Where the weights come from before training: nothing, ImageNet, torchvision, a Reg run, or a run to go on from."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.resnet import Bottleneck

from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet


def initialise(model: SubTileNet | SubTileDetector, source: str, *, reg_run: Path | None = None) -> str:
    """Fill the backbone; what was done, in words.

    source : "none"; "torchvision" (downloads: ImageNet for a net, COCO's detector for a detector); "reg" (the backbone
        of a Reg run, Table 8); else a safetensors file of ResNet weights under torchvision's names

    Raises
    ------
    FileNotFoundError
        If the file is not there, or the download cannot be reached; the message says what to give instead.
    """
    if source == "none":
        return "random"
    if source == "torchvision":
        return _download(model)
    if source == "reg":
        if reg_run is None:
            raise ValueError('initialisation "reg" needs the run whose backbone to take')
        state = torch.load(reg_run, weights_only=True, map_location="cpu")
        _load_backbone(model, {k.removeprefix("net."): v for k, v in state.items()})
        _set_strides(model, v1=bool(state["v1_strides"]))
        return f"backbone of {reg_run.parent.name}"
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give a safetensors file, or torchvision, or none")
    state = load_file(path)
    _load_backbone(model, state)
    _set_strides(model, v1=True)
    return path.name


def load_trained(model: SubTileNet | SubTileDetector, path: Path) -> None:
    """Fill a model with a run's `model.pt`."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state)
    _set_strides(model, v1=bool(state["v1_strides"]))


def _load_backbone(model: SubTileNet | SubTileDetector, state: dict[str, Tensor]) -> None:
    target = model.net if isinstance(model, SubTileNet) else model.model.backbone.body
    wanted = target.state_dict()
    backbone = {k: v.float() for k, v in state.items() if k in wanted and not k.startswith("fc.")}
    missing = [
        k for k in wanted if k not in backbone and not k.startswith("fc.") and not k.endswith("num_batches_tracked")
    ]
    if missing:
        raise ValueError(f"the weights lack {len(missing)} of the backbone's tensors, e.g. {missing[0]}")
    target.load_state_dict(backbone, strict=False)


def _set_strides(model: SubTileNet | SubTileDetector, *, v1: bool) -> None:
    """ResNet v1, whose weights the ImageNet file holds, strides a block's first convolution; torchvision's the second."""
    model.v1_strides.fill_(v1)
    for block in model.modules():
        if isinstance(block, Bottleneck) and (2, 2) in (block.conv1.stride, block.conv2.stride):
            block.conv1.stride, block.conv2.stride = ((2, 2), (1, 1)) if v1 else ((1, 1), (2, 2))


def _download(model: SubTileNet | SubTileDetector) -> str:
    from torchvision.models import ResNet50_Weights  # noqa: PLC0415
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights  # noqa: PLC0415

    weights: Any = ResNet50_Weights.IMAGENET1K_V1
    if isinstance(model, SubTileDetector):
        weights = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    try:
        state = weights.get_state_dict(progress=True)
    except OSError as error:
        raise FileNotFoundError(
            f"cannot download {weights}: {error}; give a safetensors file of ImageNet weights"
        ) from None
    if isinstance(model, SubTileNet):
        _load_backbone(model, state)
    else:
        model.model.load_state_dict({k: v for k, v in state.items() if "box_predictor" not in k}, strict=False)
        model.model.roi_heads.box_predictor = FastRCNNPredictor(1024, 2)
    return str(weights)
