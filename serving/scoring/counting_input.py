"""What an analysis found, before it is counted, and in which tile each figure lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.card_parts import CountCalibration
from serving.core.counts import Bound
from serving.core.geometry import Region
from serving.core.report import TileResult
from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.atypia import Marks
from serving.scoring.expected import CountedCandidates
from serving.scoring.reviewed import ReviewedFigures
from serving.scoring.tiling import Cell


@dataclass(frozen=True, slots=True)
class CountingInput:
    """What an analysis found, before it is counted.

    centres : float64, shape (N, 2), (x, y), level-0 px, of figures that count
    area : the tissue that is counted in; `within` the rectangle that was analysed, level-0 px
    bounded_by : what limits both
    """

    centres: NDArray[np.float64]
    tiles: Sequence[TileResult]
    lattice: MitosisMap
    area: Area
    within: Region
    tile_blocks: int
    """Strides along a tile's side."""
    calibration: CountCalibration | None
    candidates: CountedCandidates | None = None
    """Where the card states how to count probabilities: the expected count is then of these, and not of scores."""
    screened: bool = True
    """Whether the map is of screening scores, from which a count can be expected."""
    review: ReviewedFigures | None = None
    """None where nobody asks for the counts after review."""
    readers: Sequence[ReviewedFigures] = ()
    """What each of two readers made of the figures, where `review` is their consensus."""
    marks: Marks | None = None
    """Of `centres`, which are atypical; None without an atypia model."""
    bounded_by: Sequence[Bound] = ("tissue",)

    @property
    def area_mm2(self) -> float:
        """Of the tissue that is counted in."""
        return round(self.area.total * (self.lattice.mpp / 1000) ** 2, 4)

    @property
    def in_regions(self) -> bool:
        """Whether regions bound the count."""
        return not {"within", "exclude", "regions model"}.isdisjoint(self.bounded_by)

    @property
    def tile_mm2(self) -> NDArray[np.float64]:
        """Tissue of each tile, float64, shape (tiles,); where regions bound the count, what they leave of it."""
        if self.in_regions:
            px = [self.area.rectangle(tile.x, tile.y, tile.width, tile.height) for tile in self.tiles]
        else:
            px = [tile.tissue_fraction * tile.width * tile.height for tile in self.tiles]
        return np.asarray(px, np.float64) * (self.lattice.mpp / 1000) ** 2


def figures_by_tile(centres: NDArray[np.floating], cells: Sequence[Cell], pitch: float) -> list[int]:
    """Figures of each tile: those centred in it, and those that it saw across a seam in a tile that is not scored.

    centres : float, shape (N, 2), level-0 px. pitch : level-0 px of a tile's side
    """
    counts = [0] * len(cells)
    corners = np.asarray(cells, np.float64).reshape(-1, 2) * pitch
    numbers = {cell: number for number, cell in enumerate(cells)}
    for centre in centres:
        number = numbers.get((int(centre[0] // pitch), int(centre[1] // pitch)))
        if number is not None and _is_in_tile(centre, corners[number], pitch):
            counts[number] += 1
            continue
        # A tile is half-open: its last point is just before the next one's first.
        outside = np.maximum(corners - centre, centre - np.nextafter(corners + pitch, 0)).clip(0).max(1)
        counts[int(np.argmin(outside))] += 1
    return counts


def _is_in_tile(centre: NDArray[np.floating], corner: NDArray[np.float64], pitch: float) -> bool:
    return bool((centre >= corner).all() and (centre < corner + pitch).all())


def find_cells(tiles: Sequence[TileResult], pitch: float) -> list[Cell]:
    """(column, row) of tiles in the grid."""
    return [(round(tile.x / pitch), round(tile.y / pitch)) for tile in tiles]
