"""In which order tiles are taken: cellular places first, so that the fullest hotspot is likely known early."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.quality.density import on_grid
from serving.scoring.plan import PlannedTile
from serving.scoring.tissue import TissueMask

CHUNK_TILES = 32
"""Tiles that are finished together, 2 mm2. No batch of Det reaches across chunks, so an analysis that goes on after any whole
chunk shows Det the same batches as one that was never interrupted, and gives the same numbers to the last bit."""
ORDER = "hot-first"
"""Names the order in which tiles are taken: chunks that were kept in another are not gone on with."""
AROUND_TILES = 5
"""A place is as cellular as 5 x 5 tiles around it, 1.6 mm2: a hotspot of 2 mm2 is known once all tiles that it touches are."""
_DENSEST = 1.0
"""Natural logarithm. What takes more of red at 8 um/px is a fold or ink, and no more cellular for that."""
_STEPS = 256
"""So many steps of density are told apart: the order does not hang on the last bits of a sum."""
_DENSITY = np.minimum(-np.log((np.arange(256) + 1) / 256), _DENSEST)
"""Of red light, by the byte that is left of it."""


def order_hot_first(tiles: Sequence[PlannedTile], tissue: TissueMask) -> list[PlannedTile]:
    """The tiles, those in cellular tissue first, in groups of `CHUNK_TILES`; within a group row by row, as they are read best.

    Cellular is where much red light is missing in the overview: haematoxylin takes it and eosin next to none (.65 and .07 of
    their densities, Ruifrok and Johnston 2001).
    """
    if not tiles:
        return []
    columns, rows = np.asarray([tile.cell for tile in tiles]).T
    heat = np.zeros((rows.max() + 1, columns.max() + 1))
    heat[rows, columns] = _measure_heat(tiles, tissue)
    around = ndimage.uniform_filter(heat, AROUND_TILES, mode="constant")[rows, columns]
    falling = np.lexsort((columns, rows, -np.round(around * _STEPS))).tolist()
    groups = (falling[start : start + CHUNK_TILES] for start in range(0, len(falling), CHUNK_TILES))
    return [tiles[number] for group in groups for number in sorted(group, key=lambda n: (rows[n], columns[n]))]


def _measure_heat(tiles: Sequence[PlannedTile], tissue: TissueMask) -> NDArray[np.float64]:
    """The mean density of red of each tile's part of the slide; glass has none. -> float64, shape (tiles,)."""
    height, width = tissue.tissue.shape
    red = on_grid(tissue.overview, (height, width))[..., 0]
    return np.asarray([tissue.average(tile.region, lambda cells: _DENSITY[red[cells]]) for tile in tiles])
