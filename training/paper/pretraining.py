"""Initial weights for the small scale, which stand where the paper has ImageNet's: a net that tells crops apart.

A ResNet small enough for a CPU has no published weights, and from random ones a few hundred events teach it nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

from training.data.augmentation import photometric
from training.data.crops import CROP_PX, CropBank
from training.data.windows import collage
from training.engine.distributed import Process
from training.engine.trainer import Plan, fit
from training.models.backbones import Backbone
from training.models.sub_tile_net import SubTileNet

SIDE_PX = CROP_PX // 2
"""Crops at the scale of sub-tiles that are shrunk to 125 px."""
SHIFT_PX = 40
"""Farther than this from a cell's middle, a figure would touch its edge."""


@dataclass(slots=True)
class CellBatches(Dataset[tuple[NDArray[np.uint8], NDArray[np.float32]]]):
    """Batch number i: the cells of one collage, uint8, (64, 64, 64, 3), and whether each shows its figure, (64,)."""

    bank: CropBank
    seed: int
    chosen: NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        self.chosen = np.arange(len(self.bank))

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        rng = np.random.default_rng([self.seed, 6, index])
        tile, boxes = collage(self.bank, 8, rng, share=0.5, chosen=self.chosen)
        # Figures lie anywhere in the middle of a cell: a net must not learn where crops end or were painted over.
        moved = np.roll(tile, rng.integers(-SHIFT_PX, SHIFT_PX + 1, 2), (0, 1))
        half = Image.fromarray(moved).resize((tile.shape[1] // 2, tile.shape[0] // 2), Image.Resampling.BILINEAR)
        cells = np.asarray(half).reshape(8, SIDE_PX, 8, SIDE_PX, 3).swapaxes(1, 2).reshape(-1, SIDE_PX, SIDE_PX, 3)
        column, row = ((boxes[:, :2] + boxes[:, 2:]) / 2 // CROP_PX).astype(int).T
        shown = np.zeros((8, 8), np.float32)
        shown[row, column] = 1
        return np.stack([photometric(cell, rng) for cell in cells]), shown.ravel()


def pretrain(bank: CropBank, backbone: Backbone, out: Path, *, steps: int, seed: int = 0) -> Path:
    """Train a net to tell crops with their figure from crops whose figure is covered; its weights as safetensors.

    Returns the file, which `initial.initialise` takes. A training that was stopped goes on.
    """
    path = out / "backbone.safetensors"
    if path.is_file():
        return path
    torch.manual_seed(seed)
    model = SubTileNet("class", backbone, SIDE_PX)
    fit(
        Plan(seed, steps=steps, batch=1, precision="float32"),
        model,
        CellBatches(bank, seed),
        collate=_collate,
        optimizer=torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        rate=lambda step: min(1.0, (step + 1) / 50) * 0.5 * (1 + float(np.cos(np.pi * step / steps))),
        out=out,
        process=Process(0, 1, torch.device("cpu")),
        say=lambda _: None,
    )
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in model.net.state_dict().items()}, part)
    part.replace(path)
    return path


def _collate(batches: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
    pixels, shown = batches[0]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), torch.from_numpy(shown)
