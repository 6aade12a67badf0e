"""Train the Reg-NS that sees whole tiles: its last stage and head, on the trunk of a run of `fit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.crops import crops_to_learn
from training.data.icpr2012 import SLIDES
from training.data.root import data_root
from training.data.screening_tiles import ScreeningTiles
from training.engine.distributed import joined
from training.engine.held_out import state_held_out
from training.engine.trainer import Plan, Samples, fit
from training.models.cascade import Cascade
from training.models.whole_tile import WholeTileRegNS
from training.recipes.config import read_config
from training.recipes.fit import rising_then_cosine


@dataclass(frozen=True, slots=True)
class ScreeningConfig:
    """Everything that determines a run, beside the data."""

    seed: int
    tiles: int
    """Parts of tiles drawn in all; there are no epochs, since every draw differs."""
    batch: int
    trunk_lr: float
    head_lr: float
    weight_decay: float
    warmup: float
    averaging: float
    """Decay per step of the running average of the weights that is the result; 0 for the last weights."""
    figures: float
    """Share of the crops that show their figure."""
    glass: float
    """Share of the tiles in which some of the tissue is replaced by glass."""


def run(config_path: Path, out: Path, *, hold_out_cases: float, start: Path) -> None:
    """Train by a TOML file from the Reg-NS of `start`, `model.pt` of `fit`. No slide takes part, crops alone do."""
    config = read_config(config_path, ScreeningConfig)
    torch.manual_seed(config.seed)
    model = of_cascade(start)
    state_held_out(out, SLIDES, start)
    tiles = ScreeningTiles(crops_to_learn(data_root(), hold_out_cases), figures=config.figures, glass=config.glass)
    plan = Plan(config.seed, config.tiles // config.batch, config.batch, averaging=config.averaging)
    learning = [
        {"params": [*model.trunk.stages[-1].parameters()], "lr": config.trunk_lr},
        {"params": [*model.head.parameters()], "lr": config.head_lr},
    ]
    with joined() as process:
        fit(
            plan,
            model,
            Samples(tiles.draw, config.seed),
            collate=_collate,
            optimizer=torch.optim.AdamW(learning, weight_decay=config.weight_decay),
            rate=lambda step: rising_then_cosine(step, plan.steps, config.warmup),
            out=out,
            process=process,
        )


def of_cascade(weights: Path) -> WholeTileRegNS:
    """The Reg-NS of `model.pt` of `fit`, over whole tiles."""
    cascade, model = Cascade(), WholeTileRegNS()
    cascade.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    model.trunk.load_state_dict(cascade.trunk.state_dict())
    model.head.load_state_dict(cascade.regns.state_dict())
    return model


def _collate(drawn: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
    """As `WholeTileRegNS.forward` takes them: pixels uint8 (N, 3, 512, 512), cell targets (N, 16, 16)."""
    pixels = np.stack([p for p, _ in drawn]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(np.stack([t for _, t in drawn]))
