"""Plain JPEG levels of a TIFF, decoded tile by tile without OpenSlide in between.

Most of OpenSlide's time is not JPEG decoding: it is compositing, four channels, and finding out what is transparent.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.slides.resample import Pixels
from serving.slides.tilecache import CACHE_BYTES, DecodedTileCache

_START, _END, _ADOBE = b"\xff\xd8", b"\xff\xd9", b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Start and end of image; APP14 up to the byte that tells RGB (0) from YCbCr (1), which tables and tiles of a TIFF may lack."""
_SCAN, _JFIF, _APP14 = 0xDA, 0xE0, 0xEE
_COLOUR_FRAMES = (0xC0, 0xC1, 0xC2)
"""Start of a baseline, extended or progressive frame with Huffman codes (ITU-T T.81, table B.1)."""


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


def colours_contradict(page: tifffile.TiffPage) -> bool:
    """Whether a page states RGB and its first tile is JFIF with subsampled colour, which only YCbCr is.

    Bio-Formats writes such files; whoever goes by the directory sees green tissue.
    """
    stated = (page.compression, page.photometric) == (tifffile.COMPRESSION.JPEG, tifffile.PHOTOMETRIC.RGB)
    if not (stated and page.is_jfif):
        return False
    page.parent.filehandle.seek(page.dataoffsets[0])
    sampling = _sampling(page.parent.filehandle.read(min(page.databytecounts[0], 2**16)))
    return len(sampling) == 3 and sampling[0] > max(sampling[1:])


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
    transform = bytes([page.photometric == tifffile.PHOTOMETRIC.YCBCR or colours_contradict(page)])
    tables = _without_colour_markers((page.jpegtables or _START + _END)[: -len(_END)])
    if tables is None:
        return None
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
        self._kept = DecodedTileCache(CACHE_BYTES)

    def read(self, level: JpegLevel, region: Region) -> Pixels | None:
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

    def close(self) -> None:
        """Close the file; reads afterwards give None."""
        self._file.close()

    def _decode_cached(self, level: JpegLevel, tile: int) -> Pixels | None:
        key = (level.width, level.height, tile)
        if (kept := self._kept.get(key)) is not None:
            return kept
        pixels = self._decode(level, tile)
        return None if pixels is None else self._kept.keep(key, pixels)

    def _decode(self, level: JpegLevel, tile: int) -> Pixels | None:
        size = (level.tile_height, level.tile_width)
        # A buffer of the stated size: what claims to be larger fails before it is allocated.
        buffer = np.empty((*size, 3), np.uint8)
        try:
            data = os.pread(self._file.fileno(), int(level.counts[tile]), int(level.offsets[tile]))
            if (own := _without_colour_markers(data, tile=True)) is None:
                return None
            stream = level.head + own
            # As strict as OpenSlide, for which libjpeg's warnings are errors; imagecodecs swallows them.
            pixels = simplejpeg.decode_jpeg(stream, buffer=buffer, strict=True)
        except (OSError, ValueError):
            return None
        return pixels if pixels.shape[:2] == size else None


def _without_colour_markers(stream: bytes, *, tile: bool = False) -> bytes | None:
    """A JPEG stream without its start and without what it says of its colours, which the TIFF directory states.

    A JFIF or Adobe segment of a tile's own would overrule the directory in libjpeg; OpenSlide and libtiff go by the directory.

    tile : whether it must show a picture of three 8-bit components
    None where it is not such a stream.
    """
    if not stream.startswith(_START):
        return None
    kept, at, frames = [], len(_START), 0
    while at + 4 <= len(stream) and stream[at] == 0xFF and stream[at + 1] != _SCAN:
        marker, size = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # padding before a marker
            at += 1
            continue
        segment = stream[at : at + 2 + size]
        if size < 2 or len(segment) < 2 + size:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            # Precision, height, width, components.
            if marker not in _COLOUR_FRAMES or len(segment) < 10 or (segment[4], segment[9]) != (8, 3):
                return None
            frames += 1
        if marker not in (_JFIF, _APP14):
            kept.append(segment)
        at += 2 + size
    if tile and (frames != 1 or stream[at : at + 2] != bytes((0xFF, _SCAN))):
        return None
    return b"".join([*kept, stream[at:]])


def _sampling(stream: bytes) -> tuple[int, ...]:
    """Samples of each component in a block of a JPEG stream; none where it has no frame."""
    at = len(_START)
    while at + 10 <= len(stream) and stream[at] == 0xFF and stream[at + 1] != _SCAN:
        if stream[at + 1] in _COLOUR_FRAMES:
            factors = stream[at + 11 : at + 11 + 3 * stream[at + 9] : 3]
            return tuple((factor >> 4) * (factor & 15) for factor in factors)
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return ()


def _slices(part: Region, frame: Region) -> tuple[slice, slice]:
    """Rows and columns of `part` in an array that shows `frame`."""
    return (
        slice(part.y - frame.y, part.bottom - frame.y),
        slice(part.x - frame.x, part.right - frame.x),
    )
