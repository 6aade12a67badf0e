"""The recipe of Reg-NS and Det on one trunk."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from serving.synthetic.field import SyntheticField, generate_field
from training.data.crops import read_crops
from training.data.fields import read_fields_with_figures
from training.data.windows import (
    WINDOW_PX,
    Source,
    TrainingWindow,
    WindowSampler,
    background_source,
    collage_source,
    composite_source,
    event_source,
    synthetic_source,
)
from training.engine.recipe import TrunkName, rising_then_cosine
from training.engine.task import FunctionSampler, TrainingTask
from training.labels.targets import cell_targets
from training.models.cascade import CELL_PITCH_PX, CELLS, RELEASED_TRUNK, CascadeNet
from training.recipes.registry import KINDS, RecipeKind, TrainingData

SYNTHETIC_FIELDS = 24
MIN_VISIBLE = 0.4
"""Det learns boxes of which at least this share is visible; Reg-NS learns every visible share."""

WindowKind = Literal["collage", "event", "background", "composite", "synthetic"]


@KINDS.register("cascade")
class CascadeRecipe(RecipeKind):
    """Reg-NS and Det together on one trunk, or Det alone, on windows of crops and fields."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "initialisation", "screening")

    kind: Literal["cascade"] = "cascade"
    backbone: TrunkName = RELEASED_TRUNK
    windows: int = Field(gt=0)
    """Drawn in all; there are no epochs, since every draw differs."""
    mix: dict[WindowKind, float] = Field(min_length=1)
    """Weight of each source of windows."""
    screening: bool = True
    """Whether Reg-NS learns too; without it Det alone does, on the trunk's first three stages."""

    def build(self) -> CascadeNet:
        """See `RecipeKind`."""
        model = CascadeNet(self.backbone, screening=self.screening)
        model.trunk.freeze(self.frozen_stages)
        return model

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """See `RecipeKind`."""
        steps = self.windows // self.batch
        draw = WindowSampler([(weight, source) for source, weight in self._sources(data)]).draw
        return TrainingTask(
            self.plan(steps),
            model,
            FunctionSampler(draw, self.seed, collate_windows),
            self.optimizer(model.get_submodule("trunk"), model),
            rising_then_cosine(steps, self.warmup),
        )

    def _sources(self, data: TrainingData) -> list[tuple[Source, float]]:
        """The sources that the mix names, with their weights."""
        wanted = {name for name, weight in self.mix.items() if weight > 0}
        bank = read_crops(data.train, data.root) if wanted & {"collage", "composite"} else None
        fields = []
        if wanted & {"event", "background", "composite"}:
            fields = read_fields_with_figures(data.train, data.root, least_px=2 * WINDOW_PX)
        sources: list[tuple[Source, float]] = []
        for name in sorted(wanted):
            if name == "collage" and bank is not None:
                source = collage_source(bank)
            elif name == "composite" and bank is not None:
                source = composite_source(bank, background_source(fields))
            elif name == "event":
                source = event_source(fields)
            elif name == "background":
                source = background_source(fields)
            else:
                source = synthetic_source([_generate_field(number) for number in range(SYNTHETIC_FIELDS)])
            sources.append((source, self.mix[name]))
        return sources


def collate_windows(windows: Sequence[TrainingWindow]) -> tuple[Tensor, Tensor, list[dict[str, Tensor]]]:
    """Windows as `CascadeNet.forward` takes them: pixels uint8 (N, 3, 250, 250), cell targets (N, 8, 8), boxes."""
    pixels = np.stack([w.pixels for w in windows]).transpose(0, 3, 1, 2)
    cells = [cell_targets(w.boxes, cells=CELLS, pitch=CELL_PITCH_PX, window=WINDOW_PX) for w in windows]
    return (
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(np.stack(cells)),
        [det_target(w.boxes) for w in windows],
    )


def det_target(boxes: NDArray[np.float32]) -> dict[str, Tensor]:
    """Torchvision's target of a window: boxes cut at its edges, those with too little visible dropped, label 1."""
    cut = boxes.clip(0, WINDOW_PX)
    area, whole = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (cut, boxes))
    kept = cut[area >= MIN_VISIBLE * whole]
    return {"boxes": torch.from_numpy(kept), "labels": torch.ones(len(kept), dtype=torch.int64)}


def _generate_field(number: int) -> SyntheticField:
    return generate_field(seed=10_000 + number, width=1000, height=1000, mitoses_per_mm2=150, lookalikes_per_mm2=200)
