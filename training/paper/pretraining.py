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

from training.data.augmentation import photometric_picture
from training.data.crops import CROP_PX, CropBank
from training.data.windows import collage
from training.engine.distributed import Process
from training.engine.recipe import rising_then_cosine
from training.engine.task import TrainingPlan, TrainingTask
from training.engine.trainer import fit
from training.models.classes import build

SIDE_PX = CROP_PX // 2
"""Crops at the scale of sub-tiles that are shrunk to 125 px."""
SHIFT_PX = 40
"""Farther than this from a cell's middle, a figure would touch its edge."""


@dataclass(slots=True)
class CellBatches:
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
        return np.stack([photometric_picture(cell, rng) for cell in cells]), shown.ravel()

    def collate(self, batches: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
        """See `Sampler`: a sample is a batch."""
        pixels, shown = batches[0]
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))), torch.from_numpy(shown)


def pretrain(bank: CropBank, backbone: str, out: Path, *, steps: int, seed: int = 0) -> Path:
    """Train a net to tell crops with their figure from crops whose figure is covered; its weights as safetensors.

    Returns the file, which `initial.initialise` takes. A training that was stopped goes on.
    """
    path = out / "backbone.safetensors"
    if path.is_file():
        return path
    torch.manual_seed(seed)
    model = build("class", backbone=backbone, side=SIDE_PX)
    task = TrainingTask(
        TrainingPlan(seed, steps=steps, batch=1, precision="float32"),
        model,
        CellBatches(bank, seed),
        torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        rising_then_cosine(steps, 50 / steps),
    )
    fit(task, out=out, process=Process(0, 1, torch.device("cpu")), say=lambda _: None)
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in model.trunk.state_dict().items()}, part)
    part.replace(path)
    return path
