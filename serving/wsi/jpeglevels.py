"""Plain JPEG levels of a TIFF, decoded tile by tile without OpenSlide in between.

Most of OpenSlide's time is not JPEG decoding: it is compositing, four channels, and finding out what is transparent.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from serving.wsi.geometry import Region
from serving.wsi.resample import Pixels

CACHE_BYTES = 32 * 2**20
"""Decoded tiles that are kept: neighbouring patches share a column of them. OpenSlide keeps as much."""
_START, _ADOBE = b"\xff\xd8", b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Start of image; APP14 up to the byte that tells RGB (0) from YCbCr (1), which tables and tiles of a TIFF may lack."""


@dataclass(frozen=True, slots=True)
class JpegLevel:
    """Where a level's tiles lie in the file, row by row, and what stands in front of each.

    offsets, counts : int64, shape (tiles,), bytes
    head : the start of a JPEG stream that every tile goes on with
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    head: bytes

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


def jpeg_level(page: tifffile.TiffPage) -> JpegLevel | None:
    """The level in a TIFF directory; None if it is not made of 8-bit RGB or YCbCr JPEG tiles."""
    plain = (
        page.is_tiled
        and min(page.tilewidth, page.tilelength) > 0
        and page.compression == tifffile.COMPRESSION.JPEG
        and page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        and (page.samplesperpixel, page.bitspersample) == (3, 8)
    )
    if not plain:
        return None
    transform = bytes([page.photometric == tifffile.PHOTOMETRIC.YCBCR])
    tables = (page.jpegtables or b"")[len(_START) : -2]
    level = JpegLevel(
        width=int(page.imagewidth),
        height=int(page.imagelength),
        tile_width=int(page.tilewidth),
        tile_height=int(page.tilelength),
        offsets=np.asarray(page.dataoffsets, np.int64),
        counts=np.asarray(page.databytecounts, np.int64),
        head=_START + _ADOBE + transform + tables,
    )
    tiles = level.columns * -(-level.height // level.tile_height)
    return level if len(level.offsets) == len(level.counts) == tiles else None


class JpegTiles:
    """Reads regions of JPEG levels of one file, from several threads at once."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb", buffering=0)
        self._kept: OrderedDict[tuple[int, int, int], Pixels] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def read(self, level: JpegLevel, region: Region) -> Pixels | None:
        """The pixels of `region` (px of `level`), uint8, shape (height, width, 3), white outside of the level.

        None where a tile is absent or does not decode without a complaint: OpenSlide then says what there is to say.
        """
        inside = region.intersection(Region(0, 0, level.width, level.height))
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        if inside.area < region.area:
            pixels[:] = 255
        for tile in level.tiles_in(inside) if inside.area else ():
            decoded = self._decoded(level, tile)
            if decoded is None:
                return None
            place = level.place(tile)
            part = place.intersection(inside)
            pixels[_slices(part, region)] = decoded[_slices(part, place)]
        return pixels

    def close(self) -> None:
        """Close the file; reads afterwards give None."""
        self._file.close()

    def _decoded(self, level: JpegLevel, tile: int) -> Pixels | None:
        key = (level.width, level.height, tile)
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        pixels = self._decode(level, tile)
        if pixels is not None:
            self._keep(key, pixels)
        return pixels

    def _decode(self, level: JpegLevel, tile: int) -> Pixels | None:
        size = (level.tile_height, level.tile_width)
        # A buffer of the stated size: what claims to be larger fails before it is allocated.
        buffer = np.empty((*size, 3), np.uint8)
        try:
            data = os.pread(self._file.fileno(), int(level.counts[tile]), int(level.offsets[tile]))
            if not data.startswith(_START):
                return None
            stream = level.head + data[len(_START) :]
            # As strict as OpenSlide, for which libjpeg's warnings are errors; imagecodecs swallows them.
            pixels = simplejpeg.decode_jpeg(stream, buffer=buffer, strict=True)
        except (OSError, ValueError):
            return None
        return pixels if pixels.shape[:2] == size else None

    def _keep(self, key: tuple[int, int, int], pixels: Pixels) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept_bytes += pixels.nbytes
            self._kept[key] = pixels
            while self._kept_bytes > CACHE_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes


def _slices(part: Region, frame: Region) -> tuple[slice, slice]:
    """Rows and columns of `part` in an array that shows `frame`."""
    return (
        slice(part.y - frame.y, part.bottom - frame.y),
        slice(part.x - frame.x, part.right - frame.x),
    )
