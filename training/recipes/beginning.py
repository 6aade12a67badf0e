"""What `fit` and `fit-verifier` begin with, and what they never see."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.data.icpr2012 import SLIDES
from training.models.cascade import Cascade
from training.models.trunk import load_imagenet
from training.models.verifier import Verifier


@dataclass(frozen=True, slots=True)
class Beginning:
    """Initial weights, and data that is kept out.

    imagenet : safetensors file of ResNet50 v1, or None where a run is started from
    start : `model.pt` of a run, or None
    hold_out : slides; hold_out_cases : share of the crops' cases

    Raises
    ------
    ValueError
        If neither or both of `imagenet` and `start` are given, or a slide to hold out is unknown.
    """

    imagenet: Path | None
    start: Path | None
    hold_out: Sequence[str]
    hold_out_cases: float

    def __post_init__(self) -> None:
        """See the class."""
        if (self.imagenet is None) == (self.start is None):
            raise ValueError("give either ImageNet weights or a run to start from")
        if unknown := set(self.hold_out) - set(SLIDES):
            raise ValueError(f"unknown slides {sorted(unknown)}; there are {SLIDES}")

    def fill(self, model: Cascade | Verifier) -> None:
        """Give a model its initial weights."""
        if self.imagenet is not None:
            load_imagenet(model.trunk, self.imagenet)
        elif self.start is not None:
            model.load_state_dict(torch.load(self.start, weights_only=True, map_location="cpu"))
