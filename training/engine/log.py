"""What a training writes: losses, learning rates and validations to CSV and TensorBoard, progress, and checkpoints."""

import contextlib
import csv
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter


class Checkpoint(TypedDict):
    """What a run needs to go on from where it stopped."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    lowest: float
    """The lowest figure of a validation so far."""
    average: dict[str, Tensor]
    """Empty where the plan keeps none."""


def read_checkpoint(out: Path) -> Checkpoint | None:
    """What a run in `out` goes on from; the folder is made where there is none."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "last.pt"
    if not path.is_file():
        return None
    state: Checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    return state


def save(path: Path, state: object) -> None:
    """Write with torch, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as handle:
        torch.save(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(part, path)


class TrainingLog:
    """The log of a run that goes on at step `first` of `steps`, each of `batch` samples."""

    def __init__(self, out: Path, *, first: int, steps: int, batch: int, say: Callable[[str], None]) -> None:
        self.path, self.first, self.steps, self.batch, self.say = out / "log.csv", first, steps, batch, say
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=first)
        self.started, self.waited = time.monotonic(), 0.0
        self._cut()

    def _cut(self) -> None:
        """Drop rows after the checkpoint: the steps they tell of are run again."""
        if not self.path.is_file():
            return
        with self.path.open(newline="") as handle:
            header, *rows = list(csv.reader(handle)) or [[]]
        with self.path.open("w", newline="") as handle:
            csv.writer(handle).writerows([header, *(row for row in rows if row and int(row[0]) < self.first)])

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent inside counts as waiting for data."""
        mark = time.monotonic()
        yield
        self.waited += time.monotonic() - mark

    def write(
        self, step: int, losses: Mapping[str, Tensor], *, rates: Sequence[float], validation: float | None
    ) -> None:
        """Log one step; every twentieth says how the run goes.

        rates : learning rate of each group of weights. validation : the figure of the weights after the step, if asked for
        """
        values = {name: float(value) for name, value in losses.items()}
        rate_names = ["learning_rate", *(f"learning_rate_{i}" for i in range(2, len(rates) + 1))]
        new = not self.path.is_file() or self.path.stat().st_size == 0
        with self.path.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow(["step", *values, *rate_names, "validation"])
            told = "" if validation is None else f"{validation:.6g}"
            writer.writerow([step, *(f"{v:.5f}" for v in values.values()), *(f"{r:.4g}" for r in rates), told])
        for name, value in values.items():
            self.board.add_scalar(f"loss/{name}", value, step)
        for name, rate in zip(rate_names, rates, strict=True):
            self.board.add_scalar(name, rate, step)
        done, steps = step + 1, self.steps
        if validation is not None:
            self.board.add_scalar("validation", validation, step)
            self.say(f"step {done}/{steps}  validation {validation:.4f}")
        if done % 20 == 0 or done == steps:
            elapsed = time.monotonic() - self.started
            ran = done - self.first
            self.say(
                f"step {done}/{steps}  loss {sum(values.values()):.3f}  rate {rates[0]:.2g}  "
                f"{ran * self.batch / elapsed:.1f} windows/s  "
                f"waited for data {self.waited / elapsed:.0%}  {elapsed / ran * (steps - done) / 60:.1f} min left"
            )

    def close(self) -> None:
        """Flush what TensorBoard holds back."""
        self.board.close()
