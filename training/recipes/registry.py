"""The kinds of recipes: what can be trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn

from serving.datasets.store import Picture
from serving.plugins import Registry
from training.engine.recipe import Recipe
from training.engine.task import TrainingTask


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled pictures by use; no patient is in both. root : folder that their paths start from.

    validation : may be empty; the last weights are then the result
    """

    train: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    root: Path


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to begin with, in place of the recipe's `initialisation`.

    run : `model.pt` of a run of the same kind to go on from; reg : `model.pt` of a Reg run, for the initialisation "reg"
    trunk : `model.pt` of a run of any kind, of which the trunk is taken as far as it goes
    """

    run: Path | None = None
    reg: Path | None = None
    trunk: Path | None = None

    def runs(self) -> list[Path]:
        """Folders of the runs: whoever starts from them has seen what they saw."""
        return [path.parent for path in (self.run, self.reg, self.trunk) if path is not None]


class RecipeKind(Recipe):
    """A recipe that knows how to become a training. A subclass is registered by the name that `kind` states."""

    kind: str

    follows: ClassVar[tuple[str, ...]] = ()
    """Fields that fix the weights' shape, and so come from the run that a training goes on from."""

    takes: ClassVar[dict[str, str]] = {"trunk.": "trunk."}
    """What is taken of a run whose trunk a training begins with: beginnings of its tensors' names, and of ours."""

    def model_name(self) -> str:
        """What is trained, for people."""
        return self.kind

    def build(self) -> nn.Module:
        """The model, its weights random."""
        raise NotImplementedError  # abstract

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """The training of the model on data.

        Raises
        ------
        ValueError
            If the data do not hold what the recipe asks for.
        """
        raise NotImplementedError  # abstract

    def check_start(self, before: "RecipeKind") -> None:
        """Raise `ValueError` if a training by this recipe cannot go on from a run of `before`."""


KINDS: Registry[type[RecipeKind]] = Registry("kind of recipe", "training.recipes")
