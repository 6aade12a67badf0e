"""Levels of a TIFF whose tiles are decoded one by one, without OpenSlide in between.

Much of OpenSlide's time is not decoding: it is compositing, four channels, and finding out what is transparent.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.slides.resample import Pixels
from serving.slides.tilecache import CACHE_BYTES, DecodedTileCache


class TileCodec(Protocol):
    """How the tiles of a level are compressed."""

    @property
    def head_bytes(self) -> int:
        """Of a tile, at which `is_sound` looks; 0 where all are sound."""

    def is_sound(self, head: bytes, width: int, height: int) -> bool:
        """Whether OpenSlide decodes a tile that begins so, or refuses it; otherwise it shows what is not the tile's."""

    def decode(self, stored: bytes, width: int, height: int) -> Pixels | None:
        """The pixels of a tile, uint8, shape (height, width, 3); None where it is of another size or does not decode without a complaint."""


@dataclass(frozen=True, slots=True)
class DirectLevel:
    """Where a level's tiles lie in the file, row by row, and how they are compressed.

    offsets, counts : int64, shape (tiles,), bytes
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    codec: TileCodec

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return -(-self.width // self.tile_width)

    def place(self, tile: int) -> Region:
        """The part of the level that a tile shows; the level's edge cuts it."""
        row, column = divmod(tile, self.columns)
        x, y = column * self.tile_width, row * self.tile_height
        return Region(x, y, min(self.tile_width, self.width - x), min(self.tile_height, self.height - y))

    def tiles_in(self, part: Region) -> Iterator[int]:
        """The tiles that show some of `part`, which lies in the level."""
        for row in range(part.y // self.tile_height, -(-part.bottom // self.tile_height)):
            for column in range(part.x // self.tile_width, -(-part.right // self.tile_width)):
                yield row * self.columns + column


def read_direct_level(page: tifffile.TiffPage, codec: TileCodec | None) -> DirectLevel | None:
    """The level in a TIFF directory; None if it is not made of tiles of three 8-bit samples a pixel, or there is no codec for them."""
    tiled = page.is_tiled and min(page.tilewidth, page.tilelength) > 0
    plain = page.planarconfig == tifffile.PLANARCONFIG.CONTIG and (page.samplesperpixel, page.bitspersample) == (3, 8)
    if codec is None or not (tiled and plain):
        return None
    level = DirectLevel(
        width=int(page.imagewidth),
        height=int(page.imagelength),
        tile_width=int(page.tilewidth),
        tile_height=int(page.tilelength),
        offsets=np.asarray(page.dataoffsets, np.int64),
        counts=np.asarray(page.databytecounts, np.int64),
        codec=codec,
    )
    tiles = level.columns * -(-level.height // level.tile_height)
    return level if len(level.offsets) == len(level.counts) == tiles else None


class DirectTiles:
    """Reads regions of such levels of one file, from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._kept = DecodedTileCache(CACHE_BYTES)

    def read(self, level: DirectLevel, region: Region) -> Pixels | None:
        """The pixels of `region` (px of `level`), uint8, shape (height, width, 3), white outside of the level.

        None where a tile is absent or does not decode without a complaint: OpenSlide then says what there is to say.
        """
        inside = region.intersection(Region(0, 0, level.width, level.height))
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        if inside.area < region.area:
            pixels[:] = 255
        for tile in level.tiles_in(inside) if inside.area else ():
            decoded = self._decode_cached(level, tile)
            if decoded is None:
                return None
            place = level.place(tile)
            part = place.intersection(inside)
            pixels[_slices(part, region)] = decoded[_slices(part, place)]
        return pixels

    def are_sound(self, level: DirectLevel, region: Region) -> bool:
        """Whether OpenSlide can be asked for `region` (px of `level`); see `TileCodec.is_sound`."""
        codec = level.codec
        if not codec.head_bytes:
            return True
        inside = region.intersection(Region(0, 0, level.width, level.height))
        heads = (self._read(level, tile, codec.head_bytes) for tile in (level.tiles_in(inside) if inside.area else ()))
        return all(codec.is_sound(head or b"", level.tile_width, level.tile_height) for head in heads)

    def close(self) -> None:
        """Close the file; reads afterwards give None."""
        self._file.close()

    def _decode_cached(self, level: DirectLevel, tile: int) -> Pixels | None:
        key = (level.width, level.height, tile)
        if (kept := self._kept.get(key)) is not None:
            return kept
        pixels = self._decode(level, tile)
        return None if pixels is None else self._kept.keep(key, pixels)

    def _decode(self, level: DirectLevel, tile: int) -> Pixels | None:
        stored = self._read(level, tile)
        return None if stored is None else level.codec.decode(stored, level.tile_width, level.tile_height)

    def _read(self, level: DirectLevel, tile: int, most: int | None = None) -> bytes | None:
        """What is stored of a tile, or its first bytes; None where it cannot be read."""
        size = int(level.counts[tile])
        try:
            return os.pread(self._file.fileno(), size if most is None else min(size, most), int(level.offsets[tile]))
        except (OSError, ValueError):
            return None


def _slices(part: Region, frame: Region) -> tuple[slice, slice]:
    """Rows and columns of `part` in an array that shows `frame`."""
    return (
        slice(part.y - frame.y, part.bottom - frame.y),
        slice(part.x - frame.x, part.right - frame.x),
    )
