"""The sample that an audit looks at: tiles drawn at random, and the boxes in each."""

import hashlib
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from serving.datasets.store import Dataset, Picture
from serving.scoring.tiling import TILE_PX, TileGrid


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuditTile(_Part):
    """A tile of 1,000 px, or what of it lies in the picture; x, y, width, height in px of the picture."""

    picture: str
    """Its id."""
    x: int
    y: int
    width: int
    height: int
    boxes: tuple[int, ...]
    """Mitotic figures centred in the tile, as positions in the picture's annotations."""


class Audit(_Part):
    """A drawn sample. Tiles are called 1, 2, ... in this order, and their boxes too."""

    store: str
    """The audited store's file."""
    sha256: str
    """Of its bytes."""
    seed: int
    tiles: tuple[AuditTile, ...]


def draw_audit(dataset: Dataset, store: Path, *, tiles: int, seed: int) -> Audit:
    """Labelled tiles drawn uniformly without replacement, in the order of the data set.

    store : the file that the data set was read from

    Raises
    ------
    ValueError
        If fewer tiles than asked for are labelled.
    """
    cells = [(picture, cell) for picture in dataset.pictures if picture.labelled for cell in range(len(_grid(picture)))]
    if not 1 <= tiles <= len(cells):
        raise ValueError(f"{store}: {tiles} tiles asked for, {len(cells)} are labelled; ask for 1 to that many")
    chosen = sorted(np.random.default_rng([seed, 6]).choice(len(cells), tiles, replace=False))
    drawn = tuple(_tile(*cells[number]) for number in chosen)
    return Audit(store=str(store.resolve()), sha256=file_hash(store), seed=seed, tiles=drawn)


def file_hash(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _grid(picture: Picture) -> TileGrid:
    return TileGrid(picture.width, picture.height)


def _tile(picture: Picture, cell: int) -> AuditTile:
    region = _grid(picture)[cell]
    inside = [
        number
        for number, annotation in enumerate(picture.annotations)
        if annotation.label == "mitotic figure" and _find_cell(picture, annotation.box) == cell
    ]
    return AuditTile(
        picture=picture.id,
        x=region.x,
        y=region.y,
        width=min(TILE_PX, picture.width - region.x),
        height=min(TILE_PX, picture.height - region.y),
        boxes=tuple(inside),
    )


def _find_cell(picture: Picture, box: tuple[float, float, float, float]) -> int:
    """Number of the grid's tile that holds the box's centre; of the nearest where the centre lies outside."""
    grid = _grid(picture)
    column, row = (
        min(max(int((box[axis] + box[axis + 2]) / 2 // TILE_PX), 0), count - 1)
        for axis, count in ((0, grid.columns), (1, grid.rows))
    )
    return row * grid.columns + column
