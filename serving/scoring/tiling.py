"""The grid of 1,000 px tiles, and what is read around each so that every sub-tile of the lattice is scored."""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import overload

from serving.core.geometry import Region

TILE_PX = 1000
"""Tile side in work px (paper, "Data")."""

Cell = tuple[int, int]
"""(column, row) of a tile."""


@dataclass(frozen=True, slots=True)
class TileGrid(Sequence[Region]):
    """Lazily, all tiles of a slide, row by row, as regions in work px; the last ones may reach beyond the slide."""

    width: int
    """Slide width in work px."""
    height: int

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return math.ceil(self.width / TILE_PX)

    @property
    def rows(self) -> int:
        """Tiles one below the other."""
        return math.ceil(self.height / TILE_PX)

    def __len__(self) -> int:
        return self.columns * self.rows

    @overload
    def __getitem__(self, index: int) -> Region: ...

    @overload
    def __getitem__(self, index: slice) -> list[Region]: ...

    def __getitem__(self, index: int | slice) -> Region | list[Region]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        row, column = divmod(index % len(self), self.columns)
        return Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX)

    def cells(self) -> Iterator[Cell]:
        """(column, row) of each tile in the order of the grid."""
        return ((column, row) for row in range(self.rows) for column in range(self.columns))


@dataclass(frozen=True, slots=True)
class Patch:
    """What is read for one tile: whole 125 px blocks around it.

    A tile owns the sub-tiles whose top left corner lies in it, also those across its right and lower seam. Those across
    its left and upper seam belong to the neighbour; where that is not scored, this tile takes them over.
    """

    cell: Cell
    region: Region
    """Work px."""
    first_row: int
    """Lattice row (in strides from the slide's origin) of the patch's first sub-tile; may be -1."""
    first_column: int


def find_patch(cell: Cell, scored: Set[Cell], stride: int, window: int) -> Patch:
    """The patch of tile `cell` when the tiles in `scored` are scored too; stride and window in work px."""
    column, row = cell
    steps = TILE_PX // stride
    above = 0 if (column, row - 1) in scored else 1
    left = 0 if (column - 1, row) in scored else 1
    first_row, first_column = row * steps - above, column * steps - left
    apron = window - stride
    return Patch(
        cell,
        Region(
            first_column * stride,
            first_row * stride,
            TILE_PX + left * stride + apron,
            TILE_PX + above * stride + apron,
        ),
        first_row,
        first_column,
    )
