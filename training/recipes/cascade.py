"""Recipes of the cascade's first two models: Reg-NS and Det on one trunk, and Reg-NS over whole tiles."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from serving.synthetic.field import SyntheticField, generate_field
from training.data.crops import read_crops
from training.data.fields import Field as FieldOfTissue
from training.data.fields import read_fields
from training.data.screening_tiles import SIDE_PX, ScreeningTiles, crop_parts, field_parts
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
from training.engine.recipe import Share, TrunkName, rising_then_cosine
from training.engine.task import FunctionSampler, TrainingTask
from training.labels.targets import cell_targets
from training.models.cascade import RELEASED_TRUNK, CascadeNet
from training.models.regns import CELL_PITCH_PX, CELLS
from training.models.whole_tile import WholeTileRegNS
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
            fields = _fields_with_figures(data, 2 * WINDOW_PX)
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


@KINDS.register("screening")
class ScreeningRecipe(RecipeKind):
    """Reg-NS over whole tiles: its last stage and head, on parts of tiles that are made of crops or cut from fields."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "initialisation")

    takes: ClassVar[dict[str, str]] = {"trunk.": "trunk.", "regns.": "head."}
    """Of a cascade's run the Reg-NS head too."""

    kind: Literal["screening"] = "screening"
    backbone: TrunkName = RELEASED_TRUNK
    tiles: int = Field(gt=0)
    """Parts of tiles drawn in all; there are no epochs, since every draw differs."""
    figures: Share
    """Share of the crops that show their figure."""
    glass: Share
    """Share of the tiles in which some of the tissue is replaced by glass."""
    around_figures: Share = 0.0
    """Share of the tiles that are cut from fields, around a figure."""
    anywhere: Share = 0.0
    """Share of the tiles that are cut from fields, anywhere; the others are made of crops."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.around_figures + self.anywhere > 1:
            raise ValueError("around_figures and anywhere are shares of all tiles; together they are above 1")
        return self

    def build(self) -> WholeTileRegNS:
        """See `RecipeKind`."""
        return WholeTileRegNS(self.backbone)

    def task(self, model: nn.Module, data: TrainingData) -> TrainingTask:
        """See `RecipeKind`."""
        steps = self.tiles // self.batch
        tiles = ScreeningTiles(self._sources(data), self.glass)
        return TrainingTask(
            self.plan(steps),
            model,
            FunctionSampler(tiles.draw, self.seed, _collate_tiles),
            self.optimizer(model.get_submodule("trunk"), model),
            rising_then_cosine(steps, self.warmup),
        )

    def _sources(self, data: TrainingData) -> list[tuple[float, Source]]:
        """Sources of parts of tiles, with the weight of each."""
        sources: list[tuple[float, Source]] = []
        of_crops = 1 - self.around_figures - self.anywhere
        if of_crops > 0:
            sources.append((of_crops, crop_parts(read_crops(data.train, data.root), self.figures)))
        if of_crops < 1:
            around, anywhere = field_parts(_fields_with_figures(data, 2 * SIDE_PX))
            sources += [(self.around_figures, around), (self.anywhere, anywhere)]
        return sources

    def check_start(self, before: RecipeKind) -> None:
        """See `RecipeKind`."""
        if not isinstance(before, ScreeningRecipe):
            raise ValueError(f"{self.kind} goes on from its own runs; of {before.model_name()} give --trunk")


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


def _collate_tiles(drawn: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
    """As `WholeTileRegNS.forward` takes them: pixels uint8 (N, 3, 512, 512), cell targets (N, 16, 16)."""
    pixels = np.stack([p for p, _ in drawn]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(np.stack([t for _, t in drawn]))


def _fields_with_figures(data: TrainingData, least_px: int) -> list[FieldOfTissue]:
    """The fields of at least so many px; raises `ValueError` if none shows a figure."""
    fields = read_fields(data.train, data.root, least_px=least_px)
    if not any(len(field.boxes) for field in fields):
        raise ValueError(f"the recipe asks for fields, and no picture of {least_px} px shows a figure")
    return fields


def _generate_field(number: int) -> SyntheticField:
    return generate_field(seed=10_000 + number, width=1000, height=1000, mitoses_per_mm2=150, lookalikes_per_mm2=200)
