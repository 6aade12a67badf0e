"""Where the weights come from before training: nothing, a file, torchvision, a Reg run, or a run to go on from."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from training.models.sub_tile_detector import SubTileDetector
from training.models.weights import Weights, read_weights

NONE, TORCHVISION, REG = "none", "torchvision", "reg"


def initialise(model: nn.Module, source: str, *, reg_run: Path | None = None) -> str:
    """Fill a model's trunk; what was done, in words.

    source : "none"; "torchvision" (downloads: ImageNet for a net, COCO's detector for a detector); "reg" (the trunk of a
        Reg run, Table 8); else a file of weights of the trunk, "FILE" or "FILE v1" and "FILE v1.5" for a ResNet50 whose
        file does not state where its strides lie

    Raises
    ------
    FileNotFoundError
        If the file is not there, or the download cannot be reached; the message says what to give instead.
    ValueError
        If the weights do not fit the trunk.
    """
    trunk: Any = model.trunk
    if source == NONE:
        return "random"
    if source == TORCHVISION:
        return _download(model)
    if source == REG:
        if reg_run is None:
            raise ValueError('initialisation "reg" needs the run whose backbone to take')
        read = read_weights(reg_run).under("trunk.")
        v1 = read.tensors.get("v1_strides", torch.tensor(data=False))
        trunk.fill(Weights(read.tensors, "v1" if v1 else "v1.5", f"backbone of {reg_run.parent.name}"))
        return f"backbone of {reg_run.parent.name}"
    file, _, word = source.rpartition(" ")
    strides: Any = word if file and word in ("v1", "v1.5") else None
    weights = read_weights(Path(file if strides else source), strides)
    trunk.fill(weights)
    return f"{weights.source}, ResNet {weights.strides}" if weights.strides else weights.source


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model with a run's `model.pt`.

    Raises
    ------
    ValueError
        If the file is of another model.
    """
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except RuntimeError as error:
        raise ValueError(f"{path} holds the weights of another model: {str(error).splitlines()[0]}") from None


def _download(model: nn.Module) -> str:
    from torchvision.models import ResNet50_Weights  # noqa: PLC0415
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights  # noqa: PLC0415

    detector = isinstance(model, SubTileDetector)
    weights: Any = FasterRCNN_ResNet50_FPN_Weights.COCO_V1 if detector else ResNet50_Weights.IMAGENET1K_V1
    try:
        state = weights.get_state_dict(progress=True)
    except OSError as error:
        raise FileNotFoundError(
            f"cannot download {weights}: {error}; give a safetensors file of ImageNet weights"
        ) from None
    trunk: Any = model.trunk
    if isinstance(model, SubTileDetector):
        model.model.load_state_dict({k: v for k, v in state.items() if "box_predictor" not in k}, strict=False)
        model.model.roi_heads.box_predictor = FastRCNNPredictor(1024, 2)
    else:
        trunk.fill(Weights(state, "v1.5", str(weights)))
    return str(weights)
