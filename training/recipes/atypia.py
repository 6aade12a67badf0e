"""Recipes of the classifier of atypical figures: windows around figures that experts called normal or atypical."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from training.data.augmentation import Photometric
from training.data.candidates import Label
from training.data.figure_kinds import read_figure_kinds
from training.data.verifier_windows import Draw, Geometry, VerifierWindows, join_windows
from training.engine.recipe import TrunkName, rising_then_cosine
from training.engine.task import FunctionSampler, TrainingTask
from training.models.verifier import RELEASED_TRUNK, Verifier
from training.recipes.registry import KINDS, RecipeKind, TrainingData

CLASSES: tuple[Label, ...] = ("atypical figure", "normal figure")


@KINDS.register("atypia")
class AtypiaRecipe(RecipeKind):
    """The classifier of atypical figures: the verifier's net, which here tells atypical figures from normal ones."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "initialisation", "geometry")

    kind: Literal["atypia"] = "atypia"
    backbone: TrunkName = RELEASED_TRUNK
    steps: int = Field(gt=0)
    batch: int = Field(default=1, gt=0)
    """Times that what `draw` states is drawn for a step; each is drawn and augmented together."""
    draw: tuple[Draw, ...] = Field(min_length=1)
    geometry: Geometry = Geometry()
    photometric: Photometric = Photometric()
    soft_labels: bool = True
    """Whether a figure is learnt as atypical as its experts said."""
    smoothing: float = Field(default=0.02, ge=0, lt=0.5)
    dropout: float = Field(default=0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if {d.label for d in self.draw} != set(CLASSES):
            raise ValueError(f"draw {' and '.join(CLASSES)}, and nothing else")
        return self

    def build(self) -> Verifier:
        """See `RecipeKind`."""
        model = Verifier(
            self.backbone, window_px=self.geometry.window_px, smoothing=self.smoothing, dropout=self.dropout
        )
        model.trunk.freeze(self.frozen_stages)
        return model

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """See `RecipeKind`."""
        windows = VerifierWindows(
            read_figure_kinds(data.train, data.root),
            self.draw,
            CLASSES,
            self.geometry,
            self.photometric,
            soft=self.soft_labels,
        )
        return TrainingTask(
            self.plan(self.steps),
            model,
            FunctionSampler(windows.draw, self.seed, join_windows),
            self.optimizer(model.get_submodule("trunk"), model),
            rising_then_cosine(self.steps, self.warmup),
        )
