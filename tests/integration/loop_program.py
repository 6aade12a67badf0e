"""A small training of its own process, for tests that kill it or run two of it: see test_training_loop.py."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.engine.distributed import join_processes
from training.engine.task import FunctionSampler, TrainingPlan, TrainingTask
from training.engine.trainer import fit
from training.models.classes import build

STEPS = 12


class Net(nn.Module):
    """Convolution, mean, linear: no batch statistics, so two processes give what one gives."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4, 1)

    def forward(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Squared error."""
        return {"squared_error": ((self.head(self.body(images / 255)).squeeze(1) - targets) ** 2).mean()}


def draw(rng: np.random.Generator) -> tuple[Tensor, float]:
    """A picture whose target is its brightness."""
    pixels = torch.from_numpy(rng.integers(0, 256, (3, 64, 64), dtype=np.uint8))
    return pixels, float(pixels.float().mean() / 255)


def collate(samples: Any) -> tuple[Tensor, Tensor]:
    """For `Net`."""
    return torch.stack([p for p, _ in samples]), torch.tensor([t for _, t in samples])


def collate_boxes(samples: Any) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """For the detector: one box a picture."""
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.ones(1, dtype=torch.int64)}
    return torch.stack([p for p, _ in samples]), [target for _ in samples]


def train(out: Path, kind: str = "net", accumulate: int = 1, dies_at: int = -1) -> None:
    """Train; `dies_at` is the step in which the process kills itself, -1 for none."""
    torch.manual_seed(0)
    model: nn.Module = build("boxes", backbone="micro", side=64) if kind == "detector" else Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def rate(step: int) -> float:
        if step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1 - step / STEPS

    task = TrainingTask(
        TrainingPlan(
            seed=3,
            steps=STEPS,
            batch=4,
            accumulate=accumulate,
            precision="float32",
            checkpoint_every=5,
            averaging=0.9 if kind == "averaged" else 0.0,
        ),
        model,
        FunctionSampler(draw, 3, collate_boxes if kind == "detector" else collate),
        optimizer,
        rate,
    )
    with join_processes() as process:
        fit(task, out=out, process=process)


if __name__ == "__main__":
    train(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
