"""The map of a slide: Reg-NS scores of a cascade, or the highest probabilities of a one-stage detector, on one lattice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.scoring.analysis import MitosisMap
from serving.scoring.plan import SlidePlan
from serving.scoring.tile_findings import TileFindings
from serving.slides.slide import Slide

_T = TypeVar("_T", np.float32, np.bool_)


def map_scores(plan: SlidePlan, tiles: Sequence[TileFindings]) -> MitosisMap:
    """All scores of Reg-NS on one lattice that starts one block before the slide's origin, and where the light net alone looked."""
    steps = plan.tiling.blocks
    scores = np.full((plan.grid.rows * steps + 1, plan.grid.columns * steps + 1), np.nan, np.float32)
    light = None if all(tile.triage is None for tile in tiles) else np.full_like(scores, np.nan)
    for tile in tiles:
        top, left = tile.patch.first_row + 1, tile.patch.first_column + 1
        rows, columns = tile.scores.shape
        scores[top : top + rows, left : left + columns] = tile.scores
        if light is not None and tile.triage is not None:
            light[top : top + rows, left : left + columns] = tile.triage
    placed = _place(plan, scores)
    return placed if light is None else replace(placed, triage=np.where(np.isnan(scores), light, np.float32(np.nan)))


def map_probabilities(plan: SlidePlan, slide: Slide, found: Detections) -> MitosisMap:
    """The highest probability of a candidate centred in each sub-tile of the lattice; 0 where a tile was scored and has none.

    found : boxes of all windows in work px, before they are merged, with the probabilities that the model gave
    """
    steps, block = plan.tiling.blocks, plan.tiling.block_px
    shape = plan.grid.rows * steps + 2, plan.grid.columns * steps + 2
    highest, scored = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    column, row = (np.floor(found.centres / block).astype(np.int64) + 1).T
    np.maximum.at(highest, (row.clip(0, shape[0] - 1), column.clip(0, shape[1] - 1)), found.probabilities)
    for tile in plan.tiles:
        across, down = tile.patch.cell
        scored[1 + down * steps : 1 + (down + 1) * steps, 1 + across * steps : 1 + (across + 1) * steps] = True
    seen = _pool(scored) & _in_slide(plan, slide, (shape[0] - 1, shape[1] - 1))
    return _place(plan, np.where(seen, _pool(highest), np.float32(np.nan)).astype(np.float32))


def _pool(blocks: NDArray[_T]) -> NDArray[_T]:
    """The largest of the four blocks of each sub-tile."""
    across = np.maximum(blocks[:, :-1], blocks[:, 1:])
    return np.asarray(np.maximum(across[:-1], across[1:]))


def _in_slide(plan: SlidePlan, slide: Slide, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which sub-tiles overlap the slide."""
    starts = [(np.arange(n) - 1) * plan.tiling.block_px * plan.frame.scale for n in shape]
    return np.logical_and.outer(starts[0] < slide.height, starts[1] < slide.width)


def _place(plan: SlidePlan, scores: NDArray[np.float32]) -> MitosisMap:
    step = plan.tiling.block_px * plan.frame.scale
    return MitosisMap(scores=scores, x=-step, y=-step, step=step, window=2 * step, mpp=plan.frame.mpp)
