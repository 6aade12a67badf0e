"""Weights rounded to half precision, and what that changes."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.datasets.store import Dataset
from training.data.fields import read_fields
from training.export.parity import parity_tile, parity_windows

TILE_PX = 1000
FIELDS = 3
_Graph = TypeVar("_Graph", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class RoundingDrift:
    """What rounding changes: |score or probability - that of float32 weights|. spread : sd of the exact ones. where : on what."""

    where: str
    mean: float
    largest: float
    spread: float


@dataclass(frozen=True, slots=True)
class Samples:
    """What drift is measured on. tiles : uint8, (N, H, W, 3); windows : uint8, (N, 250, 250, 3). where : in words."""

    where: str
    tiles: NDArray[np.uint8]
    windows: NDArray[np.uint8]

    @classmethod
    def from_dataset(cls, dataset: Dataset | None) -> "Samples":
        """Of up to three labelled pictures; without a data set, of generated tissue.

        Raises
        ------
        ValueError
            If no labelled picture has a whole tile.
        """
        if dataset is None:
            return cls("generated tissue", parity_tile(), parity_windows())
        labelled = [p for p in dataset if p.labelled and min(p.width, p.height) >= TILE_PX]
        if not labelled:
            raise ValueError(f"{dataset.name} holds no labelled picture of {TILE_PX} px to measure the rounding on")
        every = max(len(labelled) // FIELDS, 1)
        fields = read_fields(labelled[::every][:FIELDS], Path(dataset.root), least_px=TILE_PX)
        tiles = np.stack([f.pixels[:TILE_PX, :TILE_PX] for f in fields])
        windows = [f.pixels[500:750, 250 * i : 250 * i + 250] for f in fields for i in range(TILE_PX // 250)]
        return cls("real windows", tiles, np.stack(windows))


@torch.no_grad()
def fold_norms(graph: _Graph) -> _Graph:
    """A copy in which batch norm of learnt statistics does nothing more: each is part of the convolution before it.

    An exported graph holds them folded. So that its weights can be rounded as those of torch are, they are folded before.

    Raises
    ------
    ValueError
        If a batch norm follows no convolution of as many channels.
    """
    result, before = copy.deepcopy(graph), None
    for name, module in result.named_modules():
        if isinstance(module, nn.Conv2d):
            before = module
        elif isinstance(module, nn.BatchNorm2d):
            if before is None or before.out_channels != module.num_features:
                raise ValueError(f"batch norm {name} follows no convolution that it could be folded into")
            _fold(before, module)
            before = None
    return result


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise ValueError("a batch norm without statistics cannot be folded")
    scale = norm.weight * (var + norm.eps).rsqrt()
    shift = norm.bias - mean * scale
    conv.weight.mul_(scale.reshape(-1, 1, 1, 1))
    conv.bias = nn.Parameter(shift if conv.bias is None else conv.bias * scale + shift)
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    mean.zero_()
    var.fill_(1.0 - norm.eps)


def round_to_half(graph: _Graph) -> _Graph:
    """A copy whose weights are those of half precision."""
    result = copy.deepcopy(graph)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter.copy_(parameter.half().float())
    return result


@torch.inference_mode()
def measure_drift(exact: nn.Module, half: nn.Module, pixels: NDArray[np.uint8], where: str) -> RoundingDrift:
    """Of the scores or probabilities of two graphs. pixels : uint8, as the graphs take them."""
    found = [graph(torch.from_numpy(pixels)) for graph in (exact, half)]
    before, after = (result[1] if isinstance(result, tuple) else result for result in found)
    difference = (before - after).abs()
    return RoundingDrift(where, float(difference.mean()), float(difference.max()), float(before.std()))


def middles(windows: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle of each window, uint8, (N, side, side, 3)."""
    edge = (windows.shape[1] - side) // 2
    return np.ascontiguousarray(windows[:, edge : edge + side, edge : edge + side])
