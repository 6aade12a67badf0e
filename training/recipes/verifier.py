"""Recipes of the verifier: windows around figures, look-alikes and nuclei, the hardest of which it sees most."""

from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from serving.datasets.store import Picture
from training.data.augmentation import Photometric, StainLook
from training.data.candidates import LABELS, Label, LabelledPlaces, read_candidates
from training.data.fields import read_field
from training.data.verifier_windows import Draw, Geometry, VerifierWindows, join_windows
from training.engine.recipe import Share, TrunkName, rising_then_cosine
from training.engine.task import FunctionSampler, Resampling, TrainingTask
from training.models.verifier import RELEASED_TRUNK, Verifier
from training.recipes.registry import KINDS, RecipeKind, TrainingData

SCORED_AT_ONCE = 128
_LOOK_PX = 128
_LOOKS_PER_PICTURE = 6
_GLASS = 215
"""Mean grey value of what is hardly tissue."""


class Mining(BaseModel):
    """What the present weights take for a figure, and is none, is drawn more often: rounds over all there is to draw."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    at: tuple[int, ...] = (0,)
    """Steps before which all negatives that may be drawn are scored."""
    easy: float = Field(default=0.03, gt=0)
    """Added to each negative's probability: drawn rarely, never forgotten."""
    cap: float = Field(default=1.0, gt=0, le=1)
    """Highest probability that counts, so that wrong labels are not all that is drawn."""
    look_alikes: float = Field(default=1.0, gt=0)
    """Factor of marked look-alikes beside other negatives."""


@KINDS.register("verifier")
class VerifierRecipe(RecipeKind):
    """The verifier."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "initialisation", "geometry", "classes")

    kind: Literal["verifier"] = "verifier"
    backbone: TrunkName = RELEASED_TRUNK
    steps: int = Field(gt=0)
    batch: int = Field(default=1, gt=0)
    """Times that what `draw` states is drawn for a step; each is drawn and augmented together."""
    draw: tuple[Draw, ...] = Field(min_length=1)
    classes: tuple[Label, ...] = ("figure", "other")
    """What is told apart: figures, others, and look-alikes as a class of their own where they are named."""
    geometry: Geometry = Geometry()
    photometric: Photometric = Photometric()
    mining: Mining | None = None
    nuclei_per_field: int = Field(default=800, gt=0)
    """Of each field the darkest nuclei, to draw "other" from."""
    points: Path | None = None
    """CSV with `picture,x,y` of places to take in place of the darkest nuclei: a cascade's candidates, say."""
    balance: Share = 0.0
    """Slides are drawn from in proportion to their figures to this power; 0: every place alike."""
    soft_labels: bool = False
    """Whether figures are learnt as sure as their raters were."""
    smoothing: float = Field(default=0.02, ge=0, lt=0.5)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    unlabelled_stains: bool = False
    """Whether unlabelled pictures of the stores lend their stains."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.classes[0] != "figure" or "other" not in self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {', '.join(self.classes)}; give figure first, and other among the rest")
        if not any(d.label == "figure" for d in self.draw) or all(d.label == "figure" for d in self.draw):
            raise ValueError("draw figures, and something that is none")
        return self

    def build(self) -> Verifier:
        """See `RecipeKind`."""
        model = Verifier(
            self.backbone,
            window_px=self.geometry.window_px,
            classes=len(self.classes),
            smoothing=self.smoothing,
            dropout=self.dropout,
        )
        model.trunk.freeze(self.frozen_stages)
        return model

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """See `RecipeKind`."""
        windows = self.windows(data)
        return TrainingTask(
            self.plan(self.steps),
            model,
            FunctionSampler(windows.draw, self.seed, join_windows),
            self.optimizer(model.get_submodule("trunk"), model),
            rising_then_cosine(self.steps, self.warmup),
            renewal=None if self.mining is None else self._renewal(self.mining, windows),
        )

    def windows(self, data: TrainingData) -> VerifierWindows:
        """The sampler, before any round of mining."""
        candidates = read_candidates(data.train, data.root, per_picture=self.nuclei_per_field, points=self.points)
        looks = _looks([p for p in data.train if not p.labelled], data.root) if self.unlabelled_stains else None
        windows = VerifierWindows(
            candidates, self.draw, self.classes, self.geometry, self.photometric, looks, self.soft_labels
        )
        windows.weights = self._balance(candidates, np.ones(len(candidates)))
        return windows

    def _renewal(self, mining: Mining, windows: VerifierWindows) -> Resampling:
        candidates = windows.candidates
        negatives = np.flatnonzero(windows.drawn & (candidates.label != LABELS.index("figure")))

        def weigh(model: nn.Module) -> Tensor:
            found = torch.zeros(len(candidates))
            found[torch.from_numpy(negatives)] = predict_probabilities(model, windows, negatives)
            return found

        def use(probabilities: Tensor) -> None:
            hard = probabilities.double().numpy().clip(max=mining.cap) + mining.easy
            hard = hard * np.where(candidates.label == LABELS.index("look-alike"), mining.look_alikes, 1.0)
            hard = np.where(candidates.label == LABELS.index("figure"), 1.0, hard)
            windows.weights = self._balance(candidates, hard)

        return Resampling(mining.at, weigh, use)

    def _balance(self, candidates: LabelledPlaces, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights so that each slide's places of a label have a share by the number of its figures."""
        if not self.balance:
            return weights
        result = weights.copy()
        figures = candidates.label == LABELS.index("figure")
        for slide in np.unique(candidates.slide):
            of_slide = candidates.slide == slide
            share = max(int((of_slide & figures).sum()), 4) ** self.balance
            for label in range(len(LABELS)):
                chosen = of_slide & (candidates.label == label)
                if chosen.any():
                    result[chosen] *= share / weights[chosen].sum()
        return result


@torch.inference_mode()
def predict_probabilities(model: nn.Module, windows: VerifierWindows, chosen: NDArray[np.intp]) -> Tensor:
    """What a verifier in evaluation mode says of places, float32, (M,). chosen : indices, (M,)."""
    device = next(model.parameters()).device
    parts = [torch.zeros(0)]
    for start in range(0, len(chosen), SCORED_AT_ONCE):
        pixels = windows.plain_windows(chosen[start : start + SCORED_AT_ONCE]).round().to(device)
        parts.append(model(pixels.contiguous(memory_format=torch.channels_last)).float().sigmoid().cpu())
    return torch.cat(parts)


def _looks(pictures: list[Picture], root: Path) -> StainLook | None:
    """Stains of squares of pictures that need no labels; None where there are no such pictures."""
    squares = []
    for number, picture in enumerate(pictures):
        pixels = read_field(picture, root).pixels
        rng = np.random.default_rng([8, number])
        for _ in range(_LOOKS_PER_PICTURE):
            y, x = (int(rng.integers(max(side - _LOOK_PX, 0) + 1)) for side in pixels.shape[:2])
            square = pixels[y : y + _LOOK_PX, x : x + _LOOK_PX]
            if square.shape[:2] == (_LOOK_PX, _LOOK_PX) and square.mean() < _GLASS:
                squares.append(np.ascontiguousarray(square.transpose(2, 0, 1)))
    return StainLook.from_pictures(torch.from_numpy(np.stack(squares)).float()) if squares else None
