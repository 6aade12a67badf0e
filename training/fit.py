"""Put a run together: data, sources, initial weights; then hand it to the loop."""

from collections.abc import Sequence
from pathlib import Path

import torch

from serving.synthetic.field import generate_field
from training.config import RunConfig, read_config
from training.datasets.crops import read_crops
from training.datasets.icpr2012 import SLIDES, read_fields, read_painted_fields
from training.datasets.root import data_root
from training.loop import fit
from training.models.cascade import Cascade
from training.models.trunk import load_imagenet
from training.windows import (
    Source,
    WindowSampler,
    background_source,
    collage_source,
    composite_source,
    event_source,
    synthetic_source,
)

SYNTHETIC_FIELDS = 24


def run(config_path: Path, out: Path, *, hold_out: Sequence[str], imagenet: Path | None, start: Path | None) -> Cascade:
    """Train by a TOML file, without the slides in `hold_out`, from ImageNet or from another run's `model.pt`.

    Raises
    ------
    ValueError
        If neither or both of `imagenet` and `start` are given, or a slide to hold out is unknown.
    """
    if (imagenet is None) == (start is None):
        raise ValueError("give either ImageNet weights or a run to start from")
    if unknown := set(hold_out) - set(SLIDES):
        raise ValueError(f"unknown slides {sorted(unknown)}; there are {SLIDES}")
    config = read_config(config_path)
    torch.manual_seed(config.seed)
    model = Cascade()
    if imagenet is not None:
        load_imagenet(model.trunk, imagenet)
    elif start is not None:
        model.load_state_dict(torch.load(start, weights_only=True))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return fit(config, build_sampler(config, hold_out), model, out, device=device)


def build_sampler(config: RunConfig, hold_out: Sequence[str]) -> WindowSampler:
    """The sources that the run's mix names, over the slides that are not held out."""
    root = data_root()
    bank = read_crops(root)
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
