"""Weights rounded to half precision, and what that changes."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.data.fields import read_fields
from training.data.store import Dataset
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
