"""What every recipe states: how weights are found, whatever the model."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import nn

from training.engine.task import TrainingPlan
from training.models.trunks.timm_nets import check_trunk

Share = Annotated[float, Field(ge=0, le=1)]
TrunkName = Annotated[str, AfterValidator(check_trunk)]
"""A registered trunk, or `timm/` and timm's name of a net."""


class Recipe(BaseModel):
    """Everything that determines a training, beside the data."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    seed: int = Field(default=0, ge=0)
    optimiser: Literal["adam", "sgd", "adamw"] = "adamw"
    learning_rate: float = Field(gt=0)
    """Of the trunk."""
    head_factor: float = Field(default=1.0, gt=0)
    """What is not the trunk learns so many times faster."""
    weight_decay: float | None = Field(default=None, ge=0)
    """None: 0 for Adam, 5e-4 for SGD, 1e-2 for AdamW."""
    batch: int = Field(gt=0)
    accumulate: int = Field(default=1, gt=0)
    """Parts that a batch is cut into, to fit the memory."""
    schedule: Literal["step", "cosine"] = "cosine"
    warmup: Share = 0.05
    """Share of the steps in which the learning rate rises, with "cosine"; it falls to zero on a half cosine."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    clip_norm: float | None = Field(default=None, gt=0)
    """Longest gradient, over all weights; None leaves gradients as they are."""
    averaging: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of the running average of the weights that is the result; 0 for the last weights."""
    averaging_warmup: bool = False
    """Whether the decay rises to `averaging`, (1 + n) / (10 + n) at step n, so that short runs forget their start too."""
    backbone: TrunkName = "resnet50"
    frozen_stages: int | None = Field(default=None, ge=0)
    """Stages of the trunk, after the stem, that keep their initial weights; 0 for the stem alone, None for none."""
    initialisation: str = "none"
    """Initial weights of the trunk: none, torchvision, reg, or a file."""

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights of another task."""
        return self.initialisation != "none"

    def plan(self, steps: int, *, batch: int | None = None, validate_every: int = 0) -> TrainingPlan:
        """The plan of so many steps. batch : samples a step, where a sample is not a picture."""
        return TrainingPlan(
            self.seed,
            steps=steps,
            batch=batch or self.batch,
            accumulate=self.accumulate,
            precision=self.precision,
            validate_every=validate_every,
            clip_norm=math.inf if self.clip_norm is None else self.clip_norm,
            averaging=self.averaging,
            averaging_warmup=self.averaging_warmup,
        )

    def optimizer(self, trunk: nn.Module, model: nn.Module) -> torch.optim.Optimizer:
        """The optimiser over what is not frozen: the trunk's weights, and the model's others at their own rate."""
        of_trunk = [p for p in trunk.parameters() if p.requires_grad]
        known = {id(p) for p in trunk.parameters()}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        rates = ((of_trunk, self.learning_rate), (others, self.learning_rate * self.head_factor))
        groups = [{"params": weights, "lr": rate} for weights, rate in rates if weights]
        if self.optimiser == "adam":
            return torch.optim.Adam(groups, weight_decay=self.weight_decay or 0.0)
        if self.optimiser == "sgd":
            decay = 5e-4 if self.weight_decay is None else self.weight_decay
            return torch.optim.SGD(groups, momentum=0.9, weight_decay=decay)
        return torch.optim.AdamW(groups, weight_decay=1e-2 if self.weight_decay is None else self.weight_decay)


def rising_then_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    """Factor of the learning rate at a step: up over the share `warmup` of the steps, then down to 0 on a half cosine."""
    rise = max(round(steps * warmup), 1)

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))

    return rate


def tenfold_falls(every: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: a tenth of what it was, every so many steps."""
    return lambda step: float(0.1 ** (step // max(every, 1)))
