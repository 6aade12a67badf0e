"""How a model class is trained: the paper's recipe to the letter, or the default that works better here."""

import json
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from training.models.backbones import Backbone
from training.models.sub_tile_net import MODELS, ModelName


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that determines a training, beside the data."""

    model: ModelName
    optimiser: Literal["adam", "sgd", "adamw"]
    learning_rate: float
    batch: int
    epochs: int
    schedule: Literal["step", "cosine"]
    step_epochs: int
    """Epochs between tenfold falls of the learning rate; without meaning for "cosine"."""
    augmentation: Literal["paper", "stain-safe"]
    precision: Literal["bfloat16", "float32"]
    side: int
    """Px that a sub-tile is resized to inside the model."""
    backbone: Backbone = "resnet50"
    initialisation: str = "none"
    negatives_ratio: float | None = None
    negatives_count: int | None = None
    redraw_negatives: bool = False
    hard_share: float = 0.0
    """Share of the negatives that hold a labelled look-alike, e.g. what a viewer rejected; they come again where they are
    few."""
    around_labels: bool = False
    """Sub-tiles in the middle of which is what was labelled, where only parts of a picture were looked at: see `sub_tiles_of`."""
    exclude_ambiguous_negatives: bool = False
    """No negatives with places that too few labelers boxed to count (`Picture.ambiguous_areas`)."""
    events: int | None = None
    """Events to learn from; None for all (Table 5)."""
    strategy: Literal["event first", "naive aggregation"] = "event first"
    accumulate: int = 1
    clip_norm: float | None = None
    """Longest gradient, over all weights; None leaves gradients as they are, as the paper does."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"no model class {self.model}; there are {', '.join(MODELS)}")
        asked = bool(self.negatives_ratio or self.negatives_count)
        if asked and not MODELS[self.model].negatives:
            raise ValueError(
                f"{self.model} is trained without negatives (paper, Table 1); take Reg-NS, Det-NS or Det-NS-WL"
            )
        if not 0 <= self.hard_share <= 1:
            raise ValueError(f"hard_share is {self.hard_share}, must be a share from 0 to 1")

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights of another task."""
        return self.initialisation != "none"


def paper(model: ModelName, initialisation: str = "torchvision") -> Recipe:
    """The paper's recipe (Appendix B); momentum and weight decay of SGD, which it does not state, as torchvision's."""
    ratio = 1.0 if MODELS[model].negatives else None
    if MODELS[model].target == "boxes":
        return Recipe(
            model, "sgd", 0.005, batch=16, epochs=30, schedule="step", step_epochs=20, augmentation="paper",
            precision="float32", side=800, initialisation=initialisation, negatives_ratio=ratio,
        )  # fmt: skip
    return Recipe(
        model, "adam", 0.005, batch=32, epochs=60, schedule="step", step_epochs=15, augmentation="paper",
        precision="float32", side=250, initialisation=initialisation, negatives_ratio=ratio,
    )  # fmt: skip


def default(model: ModelName, initialisation: str = "torchvision") -> Recipe:
    """AdamW with a cosine and a low rate, stain-safe augmentation, bfloat16, negatives drawn anew, no enlargement."""
    boxes = MODELS[model].target == "boxes"
    return Recipe(
        model, "adamw", 1e-4, batch=16, epochs=30, schedule="cosine", step_epochs=0, augmentation="stain-safe",
        precision="bfloat16", side=250 if not boxes else 500, initialisation=initialisation,
        negatives_ratio=4.0 if MODELS[model].negatives else None, redraw_negatives=True, clip_norm=5.0,
    )  # fmt: skip


PRESETS = {"paper": paper, "default": default}


def read_overrides(path: Path) -> dict[str, Any]:
    """Changes to a preset from a TOML file.

    Raises
    ------
    ValueError
        If the file is no TOML or has a key that recipes have not; the message names both.
    """
    try:
        values = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None
    if unknown := set(values) - {f.name for f in fields(Recipe)}:
        raise ValueError(f"{path}: unknown {sorted(unknown)}; known are {[f.name for f in fields(Recipe)]}")
    return values


def read_recipe(run: Path) -> Recipe:
    """The recipe that a run's folder states.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    """
    path = run / "recipe.json"
    if not path.is_file():
        raise FileNotFoundError(f"no run in {run}: {path.name} is missing; `training train` makes one")
    return Recipe(**json.loads(path.read_text()))


def with_overrides(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """A recipe with some fields changed; a count of negatives replaces the ratio and the other way round."""
    if "negatives_count" in values:
        values = {"negatives_ratio": None, **values}
    elif "negatives_ratio" in values:
        values = {"negatives_count": None, **values}
    return replace(recipe, **values)


def optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimiser over what is not frozen."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=recipe.learning_rate)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=0.9, weight_decay=5e-4)
    return torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=1e-2)


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Factor of the learning rate at a step."""
    if recipe.schedule == "step":
        return float(0.1 ** (step // steps_per_epoch // recipe.step_epochs))
    progress = torch.tensor(step / max(recipe.epochs * steps_per_epoch, 1))
    warm = min(1.0, (step + 1) / max(0.05 * recipe.epochs * steps_per_epoch, 1))
    return float(0.5 * (1 + torch.cos(torch.pi * progress))) * warm
