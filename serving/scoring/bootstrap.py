"""How far counts would differ on other tissue of the same kind: a block bootstrap over tiles."""

import numpy as np
from numpy.typing import NDArray

DRAWS, LEVEL, SEED = 1000, 0.95, 0
"""The seed is fixed, so that the same analysis has the same interval."""
_AT_ONCE = 2**22
"""Picks held in memory."""


def tile_interval(counts: NDArray[np.float64], areas: NDArray[np.float64]) -> tuple[float, float] | None:
    """Percentile interval of sum(counts) / sum(areas) over tiles drawn with replacement; None for fewer than two tiles.

    Tiles and not sub-tiles are drawn: those of one tile overlap and resemble each other. (Kuensch, Annals of Statistics
    17, 1989, for blocks; Efron and Tibshirani, 1993, for the percentile interval.)

    counts, areas : float64, shape (N,), of each tile
    """
    tiles = len(counts)
    if tiles < 2 or areas.sum() <= 0:
        return None
    rng = np.random.default_rng(SEED)
    per_round = max(_AT_ONCE // tiles, 1)
    ratios = []
    for start in range(0, DRAWS, per_round):
        picks = rng.integers(0, tiles, (min(per_round, DRAWS - start), tiles))
        area = areas[picks].sum(1)
        ratios.append(np.divide(counts[picks].sum(1), area, out=np.full(len(area), np.nan), where=area > 0))
    drawn = np.concatenate(ratios)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
