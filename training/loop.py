"""The training program: `fit` shows all of it."""

import csv
import math
import os
import time
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.config import RunConfig
from training.labels.targets import cell_targets
from training.models.cascade import Cascade
from training.models.regns import CELL_PITCH_PX, CELLS
from training.windows import WINDOW_PX, WindowSampler

MIN_VISIBLE = 0.4
"""Det learns boxes of which at least this share is visible; Reg-NS learns every visible share."""


class Checkpoint(TypedDict):
    """What a run needs to go on from where it stopped."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, object]


def fit(config: RunConfig, sampler: WindowSampler, model: Cascade, out: Path, *, device: str = "cpu") -> Cascade:
    """Train `model` and leave `out/last.pt` (checkpoint), `out/model.pt` (final weights) and `out/log.csv`.

    A run that was stopped goes on from its last checkpoint; draws depend on the seed and the step alone.

    Raises
    ------
    FloatingPointError
        If the loss is not finite; the message names the step and each loss.
    """
    out.mkdir(parents=True, exist_ok=True)
    model.to(device).to(memory_format=torch.channels_last).train()
    optimizer = _optimizer(config, model)
    first = _resume(out / "last.pt", model, optimizer)
    steps = config.windows // config.batch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step + first, steps, config.warmup))
    loader = DataLoader(
        _Windows(sampler, config.seed, first * config.batch, steps * config.batch),
        batch_size=config.batch,
        collate_fn=_collate,
        num_workers=1,
        prefetch_factor=6,
        persistent_workers=False,
    )
    started, waited, mark = time.monotonic(), 0.0, time.monotonic()
    for step, (pictures, cells, boxes) in enumerate(loader, first):
        waited += time.monotonic() - mark
        images = pictures.to(device, torch.float32).to(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            losses = model.losses(images, cells.to(device), [{k: v.to(device) for k, v in b.items()} for b in boxes])
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(
                f"loss at step {step} is not finite: { {k: float(v.detach()) for k, v in losses.items()} }"
            )
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        _log(out / "log.csv", step, losses)
        if step % 20 == 19 or step == steps - 1:
            elapsed = time.monotonic() - started
            left = elapsed / (step - first + 1) * (steps - step - 1)
            print(
                f"step {step + 1}/{steps}  loss {float(total.detach()):.3f}  "
                f"{(step - first + 1) * config.batch / elapsed:.1f} windows/s  "
                f"waited for data {waited / elapsed:.0%}  {left / 60:.1f} min left",
                flush=True,
            )
        if step % 100 == 99:
            _save(
                out / "last.pt", Checkpoint(step=step + 1, model=model.state_dict(), optimizer=optimizer.state_dict())
            )
        mark = time.monotonic()
    _save(out / "model.pt", model.state_dict())
    return model


class _Windows(Dataset[tuple[Tensor, Tensor, dict[str, Tensor]]]):
    """Draw number i of a run; the same seed and number give the same window in any worker."""

    def __init__(self, sampler: WindowSampler, seed: int, first: int, end: int) -> None:
        self.sampler, self.seed, self.first, self.end = sampler, seed, first, end

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        window = self.sampler.draw(np.random.default_rng([self.seed, self.first + index]))
        cells = cell_targets(window.boxes, cells=CELLS, pitch=CELL_PITCH_PX, window=WINDOW_PX)
        return (
            torch.from_numpy(window.pixels.copy()).permute(2, 0, 1),
            torch.from_numpy(cells),
            det_target(window.boxes),
        )


def det_target(boxes: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> dict[str, Tensor]:
    """Torchvision's target of a window: boxes cut at its edges, those with too little visible dropped, label 1."""
    cut = boxes.clip(0, WINDOW_PX)
    area, whole = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (cut, boxes))
    kept = cut[area >= MIN_VISIBLE * whole]
    return {"boxes": torch.from_numpy(kept), "labels": torch.ones(len(kept), dtype=torch.int64)}


def _collate(
    batch: list[tuple[Tensor, Tensor, dict[str, Tensor]]],
) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
    images, cells, boxes = zip(*batch, strict=True)
    return torch.stack(images), torch.stack(cells), list(boxes)


def _optimizer(config: RunConfig, model: Cascade) -> torch.optim.AdamW:
    for part in (model.trunk.stem, *model.trunk.stages[: config.frozen_stages]):
        part.requires_grad_(requires_grad=False)
    trunk = [p for p in model.trunk.parameters() if p.requires_grad]
    heads = [*model.regns.parameters(), *model.det.parameters()]
    return torch.optim.AdamW(
        [{"params": trunk, "lr": config.trunk_lr}, {"params": heads, "lr": config.head_lr}],
        weight_decay=config.weight_decay,
    )


def _rate(step: int, steps: int, warmup: float) -> float:
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))


def _resume(path: Path, model: Cascade, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state: Checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
    return state["step"]


def _save(path: Path, state: object) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def _log(path: Path, step: int, losses: dict[str, Tensor]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow(["step", *losses])
        writer.writerow([step, *(f"{float(v.detach()):.5f}" for v in losses.values())])
