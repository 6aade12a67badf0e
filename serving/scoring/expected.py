"""The expected count: from Reg-NS scores alone, by coverage weights. It knows nothing of Det's boxes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.tiling import Cell
from serving.wsi.modelcard import CountCalibration

FULL_COVERAGE = 4
"""Sub-tiles that show a block of a stride squared inside the lattice."""


def coverage_weights(scored: NDArray[np.bool_], counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each sub-tile, float64, shape (R, C), so that figures count as much as their block is to.

    A score is a sum of area fractions, so it counts a figure once for each sub-tile that shows it. Sub-tile t, two blocks of
    a stride a side, gets w_t = the mean over its blocks of counted / coverage: a quarter inside the lattice; .5625, .375
    and .25 in corner, edge and middle of an isolated tile of 8 x 8 blocks.

    scored : bool, shape (R, C). counted : shape (R + 1, C + 1), how much of a figure in each block is to be counted
    """
    coverage = np.zeros(counted.shape)
    for row in (0, 1):
        for column in (0, 1):
            coverage[row : row + scored.shape[0], column : column + scored.shape[1]] += scored
    share = np.divide(counted, coverage, out=np.zeros_like(counted), where=coverage > 0)
    sums = share[:-1, :-1] + share[1:, :-1] + share[:-1, 1:] + share[1:, 1:]
    return np.where(scored, sums / FULL_COVERAGE, 0.0)


def map_weights(lattice: MitosisMap, cells: Sequence[Cell], side: int, area: Area) -> NDArray[np.float64]:
    """Weights of a slide's sub-tiles, shape (rows, columns) of the map.

    A block counts as far as it lies in the analysed area: pixels mirrored beyond the slide's border show figures again and
    count nothing. Around the scored tiles, blocks are seen by fewer sub-tiles and count as far as they are seen, since a
    larger weight would count the figures of the tiles' outermost blocks more than once.

    cells : (column, row) of the tiles that were scored. side : blocks along a tile's side
    """
    scored = ~np.isnan(lattice.scores)
    rows, columns = scored.shape
    in_tiles = np.zeros((rows + 1, columns + 1), np.bool_)
    for column, row in cells:
        in_tiles[1 + row * side : 1 + (row + 1) * side, 1 + column * side : 1 + (column + 1) * side] = True
    padded = np.pad(scored, 1).astype(np.float64)
    coverage = padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]
    analysed = area.shares(
        lattice.x + lattice.step * np.arange(columns + 2), lattice.y + lattice.step * np.arange(rows + 2)
    )
    return coverage_weights(scored, analysed * np.where(in_tiles, 1.0, coverage / FULL_COVERAGE))


def expected_figures(
    scores: NDArray[np.float32], weights: NDArray[np.float64], calibration: CountCalibration | None
) -> NDArray[np.float64]:
    """What each sub-tile adds to the expected count: w_t g(s_t) / mean agreement; 0 where nothing was scored.

    g is the card's isotonic calibration, straight between its points and level beyond them. Without one the score stands
    for itself, and a small offset on very many sub-tiles adds up.
    """
    known = np.nan_to_num(scores.astype(np.float64), nan=0.0)
    if calibration is None:
        return known * weights
    fitted = np.interp(known, calibration.scores, calibration.values)
    return np.asarray(fitted / calibration.mean_agreement * weights)
