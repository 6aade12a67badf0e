"""The directory of a CZI, Zeiss's container, and its tiles (libCZI, "ZISRAW (CZI) file format").

A tile that does not decode is an error here. FastSlide 0.8.1 shows it as white glass.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

import imagecodecs
import numpy as np

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.limits import check_stored_tile
from serving.slides.resample import Pixels

MAX_TILES = 2**19
"""Of one file: a slide at 0.11 um/px with its pyramid has some ten thousand."""
MAX_METADATA_BYTES = 2**26
_SEGMENT = struct.Struct("<16sqq")
"""Kind, bytes that it may use, bytes that it uses."""
_FILE = struct.Struct("<4i16s16siqq")
"""Versions, ids, part, and where directory and metadata lie."""
_ENTRY = struct.Struct("<2siqiiB5xi")
"""Schema, pixel type, position, part, compression, pyramid type, and how many dimensions follow."""
_DIMENSION = struct.Struct("<4siifi")
"""Name, start, size, start coordinate, stored size."""
_SUB_BLOCK = struct.Struct("<iiq")
"""Bytes of metadata, attachment and data."""
_FIXED_BYTES = 256
"""Of a sub-block before its metadata, and of the metadata segment before its XML, unless the entry is longer."""
_ENTRIES_AT = 128
"""After the count, bytes that are reserved."""
_BGR24 = 3
_PIXELS = {0: "grey of 8 bits", 1: "grey of 16 bits", 2: "grey floats", 4: "colours of 16 bits", 8: "colour floats",
           9: "colours with alpha"}  # fmt: skip
_RAW, _JPEG_XR, _ZSTD_0, _ZSTD_1 = 0, 4, 5, 6
_PLANES = {b"Z": "focal planes", b"T": "points in time", b"C": "channels"}


@dataclass(frozen=True, slots=True)
class CziTile:
    """A stored tile; x, y, width and height are px of level 0 from any origin, across and down px that are stored."""

    position: int
    compression: int
    scene: int
    order: int
    """Of tiles that overlap, the one with the larger number is on top."""
    x: int
    y: int
    width: int
    height: int
    across: int
    down: int

    @property
    def shrink(self) -> int:
        """Level-0 px per stored px."""
        return max(round(self.width / self.across), 1)


@dataclass(frozen=True, slots=True)
class CziContent:
    """The tiles of a CZI, and the pixel size that it states."""

    tiles: list[CziTile]
    size: PixelSize | None


def read_czi(path: Path, name: str) -> CziContent:
    """The directory of a CZI that is one plane of 8-bit colours, whole, and of tiles that are within reason.

    Raises
    ------
    UnsupportedFormatError
        If its pixels, planes or compression are others than tests open.
    UnreadableSlideError
        If its directory is damaged, or names data behind the end of the file.
    SlideTooLargeError
        If a tile is larger than any scanner writes.
    """
    end = path.stat().st_size
    try:
        with path.open("rb") as file:
            tiles = list(_tiles(file, name))
            for tile in tiles:
                check_stored_tile(tile.across, tile.down)
                if not 0 < tile.position <= end - _SEGMENT.size:
                    raise _truncated(name, tile.position, end)
                kind, allocated, _ = _SEGMENT.unpack(os.pread(file.fileno(), _SEGMENT.size, tile.position))
                if not kind.startswith(b"ZISRAWSUBBLOCK") or allocated < 0:
                    raise _damaged(name)
                if tile.position + _SEGMENT.size + allocated > end:
                    raise _truncated(name, tile.position + _SEGMENT.size + allocated, end)
            size = _pixel_size(file)
    except (struct.error, KeyError, OverflowError) as error:
        raise _damaged(name) from error
    if not tiles:
        raise UnreadableSlideError(f"{name} states no tiles; copy it again from the scanner")
    return CziContent(tiles, size)


def decode_tile(handle: int, tile: CziTile) -> Pixels:
    """The pixels of a tile, RGB, shape (down, across, 3).

    Raises
    ------
    ValueError
        If they do not decode, or are others than the directory says; codecs raise of other kinds too.
    """
    fixed = os.pread(handle, _SEGMENT.size + _SUB_BLOCK.size + _ENTRY.size, tile.position)
    metadata, _, length = _SUB_BLOCK.unpack_from(fixed, _SEGMENT.size)
    axes = _ENTRY.unpack_from(fixed, _SEGMENT.size + _SUB_BLOCK.size)[6]
    (used,) = struct.unpack_from("<q", fixed, 24)
    before = max(_FIXED_BYTES, _SUB_BLOCK.size + _ENTRY.size + axes * _DIMENSION.size) + metadata
    if min(metadata, axes, length) < 0 or before + length > used:
        raise ValueError("a tile leaves its segment")
    data = os.pread(handle, length, tile.position + _SEGMENT.size + before)
    shape = (tile.down, tile.across, 3)
    if tile.compression == _JPEG_XR:
        decoded = np.asarray(imagecodecs.jpegxr_decode(data))
        if decoded.shape != shape or decoded.dtype != np.uint8:
            raise ValueError("a tile of another size or kind")
        return decoded
    if tile.compression == _ZSTD_1:
        # A header of one byte, or of three with a chunk that says whether bytes of 16-bit samples are apart.
        head = data[0] if data else 0
        if head not in (1, 3) or (head == 3 and (data[1] != 1 or data[2] & 1)):
            raise ValueError("a header of zstd that is not known")
        data = data[head:]
    if tile.compression in (_ZSTD_0, _ZSTD_1):
        room = bytearray(tile.down * tile.across * 3)
        data = bytes(imagecodecs.zstd_decode(data, out=room))
    if len(data) != tile.down * tile.across * 3:
        raise ValueError("a tile of another size")
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(shape)[..., ::-1])


def _tiles(file: BinaryIO, name: str) -> Iterator[CziTile]:
    """The entries of the directory."""
    file.seek(_SEGMENT.size)
    directory = _FILE.unpack(file.read(_FILE.size))[7]
    if directory < 0:
        raise _damaged(name)
    file.seek(directory)
    head = file.read(_SEGMENT.size + _ENTRIES_AT)
    if not head.startswith(b"ZISRAWDIRECTORY"):
        raise UnreadableSlideError(
            f"{name} is truncated or damaged: no directory of tiles is where it should be; copy it again from the scanner"
        )
    used, (count,) = _SEGMENT.unpack(head[: _SEGMENT.size])[2], struct.unpack_from("<i", head, _SEGMENT.size)
    if not (0 <= count <= MAX_TILES and 0 <= used <= MAX_TILES * (_ENTRY.size + 12 * _DIMENSION.size)):
        raise UnreadableSlideError(f"{name} has more than {MAX_TILES} tiles; export it again with larger ones")
    held, at = file.read(max(used - _ENTRIES_AT, 0)), 0
    for _ in range(count):
        schema, pixel_type, position, part, compression, _, axes = _ENTRY.unpack_from(held, at)
        if schema != b"DV" or not 0 <= axes <= 64:
            raise _damaged(name)
        at += _ENTRY.size
        stated = {}
        for _axis in range(axes):
            axis, start, size, _, stored = _DIMENSION.unpack_from(held, at)
            stated[axis.rstrip(b"\0")] = (start, size, stored)
            at += _DIMENSION.size
        _check_kind(pixel_type, part, compression, stated, name)
        (x, width, across), (y, height, down) = stated[b"X"], stated[b"Y"]
        across, down = across or width, down or height
        if min(width, height, across, down) < 1 or across > width or down > height:
            raise _damaged(name)
        scene, order = stated.get(b"S", (0,))[0], stated.get(b"M", (0,))[0]
        yield CziTile(position, compression, scene, order, x, y, width, height, across, down)


def _check_kind(
    pixel_type: int, part: int, compression: int, stated: dict[bytes, tuple[int, int, int]], name: str
) -> None:
    if part != 0:
        raise UnsupportedFormatError(f"{name} is a CZI in several files; export it as one")
    if pixel_type != _BGR24:
        held = _PIXELS.get(pixel_type, f"pixels of type {pixel_type}")
        raise UnsupportedFormatError(
            f"{name} holds {held} and not red, green and blue of 8 bits; export its brightfield picture as RGB of 8 bits"
        )
    if compression not in (_RAW, _JPEG_XR, _ZSTD_0, _ZSTD_1):
        raise UnsupportedFormatError(
            f"{name} holds tiles with a compression (number {compression}) that is not read; export it with JPEG XR or zstd"
        )
    for plane, what in _PLANES.items():
        if stated.get(plane, (0,))[0] > 0:
            raise UnsupportedFormatError(f"{name} holds several {what}; export one of them")


def _pixel_size(file: BinaryIO) -> PixelSize | None:
    """What the metadata states, in metres; None where they state none, or are damaged."""
    file.seek(_SEGMENT.size)
    metadata = _FILE.unpack(file.read(_FILE.size))[8]
    head = os.pread(file.fileno(), _SEGMENT.size + 4, metadata) if metadata > 0 else b""
    if not head.startswith(b"ZISRAWMETADATA") or len(head) < _SEGMENT.size + 4:
        return None
    (length,) = struct.unpack_from("<i", head, _SEGMENT.size)
    if not 0 < length <= MAX_METADATA_BYTES:
        return None
    text = os.pread(file.fileno(), length, metadata + _SEGMENT.size + _FIXED_BYTES)
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - expat bounds expansion, and a decoder has limits
        stated = {item.get("Id"): item.findtext("Value") for item in root.iterfind(".//Scaling/Items/Distance")}
        return check_stated_size(*(float(str(stated[axis])) * 1e6 for axis in "XY"))
    except (ElementTree.ParseError, KeyError, ValueError):
        return None


def _damaged(name: str) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{name} is damaged: its directory of tiles does not parse; copy it again from the scanner"
    )


def _truncated(name: str, end: int, size: int) -> UnreadableSlideError:
    return UnreadableSlideError(
        f"{name} is truncated: its data goes on to byte {end}, the file ends at {size}; copy it again"
    )
