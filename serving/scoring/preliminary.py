"""What is known of a slide while it is still being scored: how much of it was looked at, and the fullest hotspot so far."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from serving.core.counts import Counting, Hotspot
from serving.core.geometry import Region
from serving.scoring.count_bounds import CountBounds
from serving.scoring.merging import SubTileBoxes
from serving.scoring.plan import SlidePlan
from serving.scoring.tile_findings import TileFindings
from serving.scoring.window_counts import WindowCounts

GROWTH = 1.25
"""Figures so far are merged and counted each time that so many times as many tiles are done: all together that costs five
times what the last one does."""


class Preliminary(BaseModel):
    """What is known before an analysis has ended; of a cancelled or failed one, what was known then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tiles_done: int = Field(description="Tiles that were finished when this was stated.")
    tiles_total: int
    tissue_share: float = Field(description="Of the tissue to be scored, the share that lies in finished tiles.")
    tiles_counted: int = Field(description="Of the finished tiles, those whose figures are in the numbers below.")
    mitotic_figures: int = Field(
        description="So far, as the model that places boxes counts them; a verifier speaks at the end."
    )
    hotspot: Hotspot | None = Field(
        description="The fullest so far, by the same figures: cellular places are taken first, but a fuller one may follow. Null "
        "without a figure."
    )


class PreliminaryCounts:
    """Follows an analysis and counts what is found.

    Parameters
    ----------
    plan
        Of the slide.
    counting
        How figures are counted, as the report states it.
    within
        The region that is analysed, level-0 px.
    gather
        The boxes in tiles.
    find_figures
        From boxes in sub-tiles to centres of figures, float64, shape (N, 2), (x, y), level-0 px.
    tell
        Is given what is known; None where nobody wants to know.
    """

    def __init__(
        self,
        plan: SlidePlan,
        counting: Counting,
        within: Region,
        *,
        gather: Callable[[Sequence[TileFindings]], SubTileBoxes],
        find_figures: Callable[[SubTileBoxes], NDArray[np.float64]],
        tell: Callable[[Preliminary], None] | None,
    ) -> None:
        self._plan, self._within, self._gather, self._find_figures, self._tell = (
            plan,
            within,
            gather,
            find_figures,
            tell,
        )
        self._bounds = CountBounds.from_counting(counting)
        self._settings = counting.model_copy(update={"hotspots": 1})
        self._tissue = {tile.cell: tile.tissue_fraction * tile.region.area for tile in plan.tiles}
        self._counted = Preliminary(
            tiles_done=0,
            tiles_total=len(plan.tiles),
            tissue_share=0.0,
            tiles_counted=0,
            mitotic_figures=0,
            hotspot=None,
        )

    def note(self, tiles: Sequence[TileFindings]) -> None:
        """Tell what is known with these tiles."""
        if self._tell is not None:
            self._tell(self._update(tiles))

    def note_part(self, done: int, settle: Callable[[], Sequence[TileFindings]]) -> None:
        """Tell what is known with the `done` tiles that `settle` gives, if figures are to be counted again; with the last, `note` does."""
        if done < len(self._plan.tiles) and self._is_due(done):
            self.note(settle())

    def _is_due(self, tiles: int) -> bool:
        """Whether with so many finished tiles figures are counted again."""
        counted = self._counted.tiles_counted  # an ensemble's later detectors go over tiles that are counted already
        return tiles > counted and (tiles >= GROWTH * counted or tiles == self._counted.tiles_total)

    def _update(self, tiles: Sequence[TileFindings]) -> Preliminary:
        """What is known with these tiles; figures are counted again once there are `GROWTH` times as many, and at the end."""
        everything = sum(self._tissue.values())
        seen = sum(self._tissue[tile.patch.cell] for tile in tiles) / everything if everything else 0.0
        now = self._counted.model_copy(update={"tiles_done": len(tiles), "tissue_share": round(float(seen), 4)})
        if self._is_due(len(tiles)):
            figures = self._find_figures(self._gather(tiles))
            figures = figures[self._bounds.hold(figures)]
            found = {
                "tiles_counted": len(tiles),
                "mitotic_figures": len(figures),
                "hotspot": self._find_hotspot(figures),
            }
            now = now.model_copy(update=found)
        self._counted = now
        return now

    def _find_hotspot(self, figures: NDArray[np.float64]) -> Hotspot | None:
        windows = WindowCounts(
            within=self._within,
            area=self._bounds.find_area(self._plan.tissue, None, "off"),
            mpp=self._plan.frame.mpp,
            settings=self._settings,
            centres=figures,
            estimate=None,
            review=None,
        )
        found = windows.search(figures, "model")
        return found[0] if found else None
