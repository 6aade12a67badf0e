"""Where the frames of a DICOM file with compressed pixels lie, as OpenSlide's libdicom finds them."""

import mmap
import struct
from collections.abc import Iterator

_PIXELS = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
"""Begins encapsulated pixel data: tag (7FE0,0010), OB, undefined length (DICOM PS3.5, A.4)."""
_ITEM = b"\xfe\xff\x00\xe0"
"""Tag (FFFE,E000) of an item, which its length follows: the table of offsets first, then one for each frame."""
_HEADER = struct.Struct("<4sI")
_OFFSET = struct.Struct("<I")


def find_frames(content: mmap.mmap, count: int) -> Iterator[tuple[int, int]]:
    """Where each of `count` frames begins in the file and how long it is, bytes; those after damage are left out.

    The Basic Offset Table is believed where it is not empty (libdicom 1.2, `dcm_parse_pixeldata_offsets`); else frames lie one after the other.
    """
    at = content.find(_PIXELS)
    table = _read_item(content, at + len(_PIXELS)) if at >= 0 else None
    if table is None:
        return
    content.madvise(mmap.MADV_RANDOM)  # a few bytes of each frame, of which there may be gigabytes
    start, length = table
    if not length:
        yield from _walk(content, start, count)
        return
    offsets = content[start : start + count * _OFFSET.size]
    first = start + len(offsets)
    for (offset,) in _OFFSET.iter_unpack(offsets[: len(offsets) // _OFFSET.size * _OFFSET.size]):
        if (item := _read_item(content, first + offset)) is not None:
            yield item


def _walk(content: mmap.mmap, at: int, count: int) -> Iterator[tuple[int, int]]:
    for _ in range(count):
        item = _read_item(content, at)
        if item is None:
            return
        yield item
        at = sum(item)


def _read_item(content: mmap.mmap, at: int) -> tuple[int, int] | None:
    """Where the value of an item begins, and its length; None where there is no item."""
    header = content[at : at + _HEADER.size]
    if len(header) < _HEADER.size or not header.startswith(_ITEM):
        return None
    return at + _HEADER.size, _HEADER.unpack(header)[1]
