"""How much each tissue tile of a slide looks like holding a mitotic figure, by any exported screening model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region, WorkFrame
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.scoring.plan import PlannedTile, make_plan
from serving.scoring.reading import ReadClock, read_ahead
from serving.scoring.tiling import TILE_PX, Patch
from serving.slides.slide import Slide


class Screener(Protocol):
    """A screening model as serving runs it."""

    @property
    def card(self) -> ModelCard:
        """States window, stride and resolution."""

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `serving.scoring.detector.Detector.screen`."""


@dataclass(frozen=True, slots=True)
class RankedTile:
    """A whole tile.

    tile : its patch is the tile itself, without the neighbours' pixels that serving reads around it
    score : the highest of its 49 sub-tiles
    """

    tile: PlannedTile
    score: float


@dataclass(frozen=True, slots=True)
class RankedSlide:
    """Whole tissue tiles of a slide, row by row.

    cut : tissue tiles that the slide's border cuts, which are no 1,000 px pictures and were left out
    """

    frame: WorkFrame
    tiles: list[RankedTile]
    cut: int

    @property
    def scores(self) -> NDArray[np.float64]:
        """float64, shape (N,), in the order of `tiles`."""
        return np.asarray([tile.score for tile in self.tiles], np.float64)


def rank_tiles(
    slide: Slide, screener: Screener, options: ScoringOptions, on_progress: Callable[[int, int], None]
) -> RankedSlide:
    """Every whole 1,000 px tile with enough tissue, and its score.

    on_progress : called with (tiles done, tiles in all)

    Raises
    ------
    MitoserveError
        If the slide states no resolution, cannot be read, or the model fails.
    """
    plan = make_plan(slide, options, screener.card.input)
    whole = [_alone(tile, screener.card.input.stride_px) for tile in plan.tiles if _is_whole(tile, plan.frame)]
    ranked = []
    on_progress(0, len(whole))
    with read_ahead(slide, plan.frame, whole, ReadClock()) as patches:
        for tile, pixels in patches:
            ranked.append(RankedTile(tile, float(screener.screen(pixels[None])[0].max())))
            on_progress(len(ranked), len(whole))
    return RankedSlide(plan.frame, ranked, len(plan.tiles) - len(whole))


def _is_whole(tile: PlannedTile, frame: WorkFrame) -> bool:
    return tile.region == frame.region_to_level0(_work(tile))


def _alone(tile: PlannedTile, stride: int) -> PlannedTile:
    column, row = tile.cell
    steps = TILE_PX // stride
    return replace(tile, patch=Patch(tile.cell, _work(tile), row * steps, column * steps))


def _work(tile: PlannedTile) -> Region:
    column, row = tile.cell
    return Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)
