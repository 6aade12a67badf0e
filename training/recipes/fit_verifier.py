"""Train the verifier: first on crops alone, then on fields too, whose hardest nuclei it sees most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data.crops import crops_to_learn
from training.data.icpr2012 import read_fields, read_painted_fields
from training.data.patches import CropPatches, FieldPatches, plain_windows
from training.data.root import data_root
from training.engine.distributed import joined
from training.engine.held_out import state_held_out
from training.engine.trainer import Plan, Samples, fit
from training.models.verifier import Verifier
from training.recipes.beginning import Beginning
from training.recipes.config import read_config
from training.recipes.fit import rising_then_cosine

_EASY = 0.03
"""Weight of a nucleus that the start weights are sure of: drawn rarely, never forgotten."""


@dataclass(frozen=True, slots=True)
class VerifierConfig:
    """Everything that determines a run, beside the data."""

    seed: int
    steps: int
    sheaves: int
    """Sheaves a step; a sheaf is what is drawn and augmented together."""
    crop_figures: int
    crop_others: int
    field_figures: int
    field_others: int
    """Windows of each kind in a sheaf; a figure and what is none of both sources, or none of a source."""
    learning_rate: float
    head_factor: float
    """The last layer learns so many times faster than the trunk."""
    weight_decay: float
    warmup: float
    frozen_stages: int
    averaging: float
    """Decay per step of the running average of the weights that is the result; 0 for the last weights."""


def run(config_path: Path, out: Path, beginning: Beginning) -> None:
    """Train by a TOML file."""
    config = read_config(config_path, VerifierConfig)
    torch.manual_seed(config.seed)
    model = Verifier()
    beginning.fill(model)
    state_held_out(out, beginning.hold_out, beginning.start)
    sheaf = _sheaves(config, beginning.hold_out, beginning.hold_out_cases, model)
    with joined() as process:
        fit(
            Plan(config.seed, config.steps, config.sheaves, clip_norm=2.0, averaging=config.averaging),
            model,
            Samples(sheaf, config.seed),
            collate=_joined,
            optimizer=_optimizer(config, model),
            rate=lambda step: rising_then_cosine(step, config.steps, config.warmup),
            out=out,
            process=process,
        )


class _Sheaf:
    """Draws a sheaf: windows uint8, (N, 3, 64, 64), and labels, float32, (N,)."""

    def __init__(self, config: VerifierConfig, crops: CropPatches, field: FieldPatches | None) -> None:
        self.crops, self.field = crops, field
        self.of_crops = _labels(config.crop_figures, config.crop_others)
        self.of_field = _labels(config.field_figures, config.field_others)

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        stains = None if self.field is None else self.field.nuclei
        parts = [self.crops.draw(self.of_crops, stains, rng)]
        if self.field is not None:
            parts.append(self.field.draw(self.of_field, self.crops.crops, rng))
        labels = np.concatenate([self.of_crops, self.of_field])
        return torch.cat(parts).round().to(torch.uint8), torch.from_numpy(labels.astype(np.float32))


def _labels(figures: int, others: int) -> NDArray[np.bool_]:
    return np.arange(figures + others) < figures


def _sheaves(config: VerifierConfig, hold_out: Sequence[str], hold_out_cases: float, model: Verifier) -> _Sheaf:
    root = data_root()
    crops = CropPatches.of(crops_to_learn(root, hold_out_cases))
    if not config.field_figures + config.field_others:
        return _Sheaf(config, crops, None)
    kept = [f for f in [*read_fields(root), *read_painted_fields(root)] if f.slide not in hold_out]
    found = FieldPatches.of(kept)
    return _Sheaf(config, crops, replace(found, hardness=_hardness(model, found)))


@torch.inference_mode()
def _hardness(model: Verifier, patches: FieldPatches) -> NDArray[np.float64]:
    """Weight of each nucleus: the probability that the start weights give it, and a little for all."""
    model.eval()
    windows = plain_windows(patches.nuclei)
    parts = [model(windows[start : start + 256]).sigmoid() for start in range(0, len(windows), 256)]
    return torch.cat(parts).double().numpy() + _EASY


def _joined(sheaves: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([windows for windows, _ in sheaves]), torch.cat([labels for _, labels in sheaves])


def _optimizer(config: VerifierConfig, model: Verifier) -> torch.optim.AdamW:
    for part in (model.trunk.stem, *model.trunk.stages[: config.frozen_stages]):
        part.requires_grad_(requires_grad=False)
    trunk = [p for p in model.trunk.parameters() if p.requires_grad]
    head = list(model.fc.parameters())
    return torch.optim.AdamW(
        [
            {"params": trunk, "lr": config.learning_rate},
            {"params": head, "lr": config.learning_rate * config.head_factor},
        ],
        weight_decay=config.weight_decay,
    )
