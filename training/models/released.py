"""Weights of released graphs as torch weights: releases before 2.0 exist as ONNX files alone."""

import re
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

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
