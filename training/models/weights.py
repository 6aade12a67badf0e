"""Files of weights, with what they state of themselves, and weights of released graphs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import torch
from onnx import numpy_helper
from safetensors import safe_open
from torch import Tensor

Strides = Literal["v1", "v1.5"]
"""Where a ResNet's bottleneck has its stride: on the first convolution (v1: Caffe, Keras) or on the second (v1.5: torchvision)."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by name. strides : where the strides of a ResNet50 lie; None where nothing says. source : for people."""

    tensors: dict[str, Tensor]
    strides: Strides | None
    source: str

    def under(self, prefix: str) -> "Weights":
        """The tensors below a prefix, without it."""
        return Weights(
            {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)},
            self.strides,
            self.source,
        )


def read_weights(path: Path, strides: Strides | None = None) -> Weights:
    """Weights from a safetensors file, whose metadata may state `architecture`, e.g. "resnet50 v1", or from a torch file.

    strides : what the caller knows of the file

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file states other strides than the caller.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; give a file of weights, or torchvision, or none")
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            stated = (file.metadata() or {}).get("architecture", "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    else:
        stated, tensors = "", torch.load(path, weights_only=True, map_location="cpu")
    found: Strides | None = "v1.5" if stated.endswith("v1.5") else "v1" if stated.endswith("v1") else None
    if found and strides and found != strides:
        raise ValueError(f"{path} states {stated!r}, not {strides}")
    return Weights(tensors, found or strides, path.name)


_NAMES = (
    (re.compile(r"^(?:model|nets\.0)\."), ""),
    (re.compile(r"^trunk\.stem\.0\."), "trunk.conv1."),
    (re.compile(r"^trunk\.stages\.(\d)\."), lambda m: f"trunk.layer{int(m[1]) + 1}."),
    (re.compile(r"^pyramid\."), "det.pyramid."),
    (re.compile(r"^rpn_head\."), "det.rpn.head."),
    (re.compile(r"^box_head\."), "det.roi.box_head."),
    (re.compile(r"^predictor\."), "det.roi.box_predictor."),
)
"""Names in the graphs of releases, and those of `Verifier`, `WholeTileRegNS` and `Cascade`."""


def read_released_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a released `model.onnx`, float32, under the names of the model that it was exported from.

    Of a verifier of several nets those of the first.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    found = {}
    for constant in onnx.load(path).graph.initializer:
        name = constant.name.removesuffix(".half")
        for pattern, replacement in _NAMES:
            name = pattern.sub(replacement, name)
        if name.startswith(("trunk.", "head.", "fc.", "det.")):
            found[name] = torch.from_numpy(numpy_helper.to_array(constant).copy()).float()
    return found
