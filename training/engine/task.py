"""What the trainer trains. It knows losses, samples and rates, and nothing of what the model is for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What determines a run, beside model, samples and optimiser."""

    seed: int
    steps: int
    batch: int
    """Samples that one optimiser step learns from: over all processes and accumulated parts together."""
    accumulate: int = 1
    """Parts that a process's share of the batch is cut into, to fit its memory."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    checkpoint_every: int = 100
    validate_every: int = 0
    """Steps between validations; 0: the last weights are the result."""
    clip_norm: float = 5.0
    """Longest gradient, over all weights; longer ones are scaled down to it."""
    averaging: float = 0.0
    """Decay per step of a running average of the weights, which is then the result; 0: no average is kept."""
    averaging_warmup: bool = False
    """Whether the decay rises from step to step, (1 + n) / (10 + n), until it is `averaging`."""


class Sampler(Protocol):
    """Sample number i of a run depends on the run's seed and i alone, in whichever process asks for it."""

    def __getitem__(self, index: int) -> Any:
        """Sample number `index`."""

    def collate(self, samples: Sequence[Any], /) -> tuple[Any, ...]:
        """Samples as the model's forward takes them."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How the sampling changes as the model learns: the mining of hard negatives, say.

    steps : before which it changes
    weigh : what the present weights say of all there is to draw, in evaluation mode; the leader alone asks
    use : tells the sampler, in every process
    """

    steps: Sequence[int]
    weigh: Callable[[nn.Module], Tensor]
    use: Callable[[Tensor], None]


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """A training.

    model : its forward takes what the sampler collates, on the process's device, and returns named losses
    rate : step -> factor of the optimiser's learning rates
    validate : a figure of the present weights, lower is better; those with the lowest are the result; not with averaging
    """

    plan: TrainingPlan
    model: nn.Module
    samples: Sampler
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    validate: Callable[[], float] | None = None
    renewal: Resampling | None = None


@dataclass(frozen=True, slots=True)
class FunctionSampler:
    """A sampler of what a function draws by a generator. join : samples -> a batch."""

    draw: Callable[[np.random.Generator], Any]
    seed: int
    join: Callable[[Sequence[Any]], tuple[Any, ...]]

    def __getitem__(self, index: int) -> Any:
        return self.draw(np.random.default_rng([self.seed, index]))

    def collate(self, samples: Sequence[Any]) -> tuple[Any, ...]:
        """See `Sampler`."""
        return self.join(samples)
