"""Train the cascade that Mitoserve ships: data, sources and initial weights put together and handed to the loop."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serving.synthetic.field import generate_field
from training.data.crops import crops_to_learn
from training.data.icpr2012 import read_fields, read_painted_fields
from training.data.root import data_root
from training.data.windows import (
    WINDOW_PX,
    Source,
    Window,
    WindowSampler,
    background_source,
    collage_source,
    composite_source,
    event_source,
    synthetic_source,
)
from training.engine.distributed import joined
from training.engine.held_out import state_held_out
from training.engine.trainer import Plan, Samples, fit
from training.labels.targets import cell_targets
from training.models.cascade import Cascade
from training.models.regns import CELL_PITCH_PX, CELLS
from training.models.verifier import Verifier
from training.recipes.beginning import Beginning
from training.recipes.config import RunConfig, read_config

SYNTHETIC_FIELDS = 24
MIN_VISIBLE = 0.4
"""Det learns boxes of which at least this share is visible; Reg-NS learns every visible share."""


def run(config_path: Path, out: Path, beginning: Beginning, *, trunk: Path | None = None) -> None:
    """Train by a TOML file.

    trunk : `model.pt` of a verifier, whose stages 1 to 3 take the place of the beginning's
    """
    config = read_config(config_path, RunConfig)
    torch.manual_seed(config.seed)
    model = Cascade()
    beginning.fill(model)
    if trunk is not None:
        verifier = Verifier()
        verifier.load_state_dict(torch.load(trunk, weights_only=True, map_location="cpu"))
        model.trunk.load_state_dict(verifier.trunk.state_dict(), strict=False)
    state_held_out(out, beginning.hold_out, beginning.start, trunk)
    plan = Plan(config.seed, config.windows // config.batch, config.batch, averaging=config.averaging)
    sampler = build_sampler(config, beginning.hold_out, beginning.hold_out_cases)
    with joined() as process:
        fit(
            plan,
            model,
            Samples(sampler.draw, config.seed),
            collate=collate,
            optimizer=_optimizer(config, model),
            rate=lambda step: rising_then_cosine(step, plan.steps, config.warmup),
            out=out,
            process=process,
        )


def build_sampler(config: RunConfig, hold_out: Sequence[str], hold_out_cases: float) -> WindowSampler:
    """The sources that the run's mix names, over the slides and cases that are not held out."""
    root = data_root()
    bank = crops_to_learn(root, hold_out_cases)
    fields = [f for f in read_fields(root) if f.slide not in hold_out]
    painted = [f for f in read_painted_fields(root) if f.slide not in hold_out]
    background = background_source([*fields, *painted])
    makers: dict[str, Source] = {
        "collage": collage_source(bank),
        "event": event_source(fields),
        "background": background,
        "composite": composite_source(bank, background),
    }
    if "synthetic" in config.mix:
        makers["synthetic"] = synthetic_source(
            [
                generate_field(seed=10_000 + i, width=1000, height=1000, mitoses_per_mm2=150, lookalikes_per_mm2=200)
                for i in range(SYNTHETIC_FIELDS)
            ]
        )
    return WindowSampler([(weight, makers[name]) for name, weight in config.mix.items()])


def collate(windows: Sequence[Window]) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
    """Windows as `Cascade.forward` takes them: pixels uint8 (N, 3, 250, 250), cell targets (N, 8, 8), boxes."""
    pixels = np.stack([w.pixels for w in windows]).transpose(0, 3, 1, 2)
    cells = [cell_targets(w.boxes, cells=CELLS, pitch=CELL_PITCH_PX, window=WINDOW_PX) for w in windows]
    return (
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(np.stack(cells)),
        [det_target(w.boxes) for w in windows],
    )


def det_target(boxes: NDArray[np.float32]) -> dict[str, Tensor]:
    """Torchvision's target of a window: boxes cut at its edges, those with too little visible dropped, label 1."""
    cut = boxes.clip(0, WINDOW_PX)
    area, whole = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (cut, boxes))
    kept = cut[area >= MIN_VISIBLE * whole]
    return {"boxes": torch.from_numpy(kept), "labels": torch.ones(len(kept), dtype=torch.int64)}


def _optimizer(config: RunConfig, model: Cascade) -> torch.optim.AdamW:
    for part in (model.trunk.stem, *model.trunk.stages[: config.frozen_stages]):
        part.requires_grad_(requires_grad=False)
    trunk = [p for p in model.trunk.parameters() if p.requires_grad]
    heads = [*model.regns.parameters(), *model.det.parameters()]
    return torch.optim.AdamW(
        [{"params": trunk, "lr": config.trunk_lr}, {"params": heads, "lr": config.head_lr}],
        weight_decay=config.weight_decay,
    )


def rising_then_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate: up over the share `warmup` of the steps, then down to 0 on a half cosine."""
    rise = max(round(steps * warmup), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
