"""The grid of tiles, and what is read around each so that every window is seen whole."""

import math
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Self, overload

from serving.core.geometry import Region
from serving.core.modelcard import TILE_BLOCKS
from serving.core.modelinput import ModelInput

TILE_PX = 1000
"""Side of a cascade's tile in work px (paper, "Data")."""
TILE_UM = 250.0
"""Microns of a tile's side, which tiles of a one-stage detector come near to: 1,000 px at 0.25 um/px."""

Cell = tuple[int, int]
"""(column, row) of a tile."""


@dataclass(frozen=True, slots=True)
class TileGrid(Sequence[Region]):
    """Lazily, all tiles of a slide, row by row, as regions in work px; the last ones may reach beyond the slide."""

    width: int
    """Slide width in work px."""
    height: int
    tile_px: int = TILE_PX

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return math.ceil(self.width / self.tile_px)

    @property
    def rows(self) -> int:
        """Tiles one below the other."""
        return math.ceil(self.height / self.tile_px)

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
        return Region(column * self.tile_px, row * self.tile_px, self.tile_px, self.tile_px)

    def cells(self) -> Iterator[Cell]:
        """(column, row) of each tile in the order of the grid."""
        return ((column, row) for row in range(self.rows) for column in range(self.columns))


@dataclass(frozen=True, slots=True)
class Patch:
    """What is read for one tile.

    In a cascade it is whole blocks of 125 px: a tile owns the sub-tiles whose top left corner lies in it, also those across its
    right and lower seam. Those across its left and upper seam belong to the neighbour; where that is not scored, this tile
    takes them over. For a one-stage detector it is the tile with a margin of half the overlap on each side.
    """

    cell: Cell
    region: Region
    """Work px."""
    first_row: int
    """Row of the map (in blocks from the slide's origin) of the patch's first sub-tile; of a cascade it may be -1."""
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


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a slide is cut for a model; all in work px.

    tile_px : side of a tile. block_px : side of a block; a sub-tile of the map is two blocks wide and they are a block apart
    window_px, stride_px : side and distance of the windows that the model sees
    margin_px : read beyond each side of a tile, of a one-stage detector; None of a cascade
    """

    tile_px: int
    block_px: int
    window_px: int
    stride_px: int
    margin_px: int | None

    @classmethod
    def from_input(cls, model: ModelInput) -> Self:
        """What suits a model: a one-stage detector has as many windows a tile as bring it near to `TILE_UM`."""
        if model.overlap_px is None:
            return cls(TILE_PX, model.stride_px, model.window_px, model.stride_px, None)
        tile = model.stride_px * max(round(TILE_UM / model.mpp / model.stride_px), 1)
        return cls(tile, tile // TILE_BLOCKS, model.window_px, model.stride_px, model.overlap_px // 2)

    @property
    def blocks(self) -> int:
        """Blocks along a tile's side."""
        return self.tile_px // self.block_px

    def find_patch(self, cell: Cell, scored: Set[Cell]) -> Patch:
        """The patch of tile `cell` when the tiles in `scored` are scored too."""
        if self.margin_px is None:
            return find_patch(cell, scored, self.stride_px, self.window_px)
        column, row = cell
        side = self.tile_px + self.window_px - self.stride_px
        corner = column * self.tile_px - self.margin_px, row * self.tile_px - self.margin_px
        return Patch(cell, Region(*corner, side, side), row * self.blocks, column * self.blocks)
