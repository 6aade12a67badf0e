"""Recipes on parts of tiles: of Reg-NS over whole tiles, and what every recipe of a net that sees tiles states."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.data.crops import read_crops
from training.data.fields import read_fields_with_figures
from training.data.screening_tiles import SIDE_PX, ScreeningTiles, crop_parts, field_parts
from training.data.windows import Source
from training.engine.recipe import Share, TrunkName, rising_then_cosine
from training.engine.task import FunctionSampler, TrainingTask
from training.models.cascade import RELEASED_TRUNK
from training.models.whole_tile import WholeTileRegNS
from training.recipes.registry import KINDS, RecipeKind, TrainingData


class TileRecipe(RecipeKind):
    """A net that sees tiles: it learns on parts of tiles, made of crops or cut from fields, each cell's share of the figures."""

    follows: ClassVar[tuple[str, ...]] = ("backbone", "initialisation")

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
            around, anywhere = field_parts(read_fields_with_figures(data.train, data.root, least_px=2 * SIDE_PX))
            sources += [(self.around_figures, around), (self.anywhere, anywhere)]
        return sources

    def check_start(self, before: RecipeKind) -> None:
        """See `RecipeKind`."""
        if type(before) is not type(self):
            raise ValueError(f"{self.kind} goes on from its own runs; of {before.model_name()} give --trunk")


@KINDS.register("screening")
class ScreeningRecipe(TileRecipe):
    """Reg-NS over whole tiles: its last stage and head."""

    takes: ClassVar[dict[str, str]] = {"trunk.": "trunk.", "regns.": "head."}
    """Of a cascade's run the Reg-NS head too."""

    kind: Literal["screening"] = "screening"
    backbone: TrunkName = RELEASED_TRUNK

    def build(self) -> WholeTileRegNS:
        """See `RecipeKind`."""
        return WholeTileRegNS(self.backbone)


def _collate_tiles(drawn: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]]) -> tuple[Tensor, Tensor]:
    """As `WholeTileRegNS` and `TriageNet` take them: pixels uint8 (N, 3, 512, 512), cell targets (N, 16, 16)."""
    pixels = np.stack([p for p, _ in drawn]).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(np.stack([t for _, t in drawn]))
