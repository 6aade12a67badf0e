"""The directories of a TIFF, walked once within bounds before any reader parses them.

A reader that follows a chain without end, or keeps every value of 60,000 directories, is busy for minutes with a small file.
The layout is TIFF 6.0 and BigTIFF; NDPI files of more than 4 GiB are classic TIFF with 64-bit addresses of directories.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serving.wsi.errors import UnreadableSlideError

MAX_DIRECTORIES = 1000
"""Of one file, those of sub-directories too. A slide has one for each level, label and focus plane."""
MAX_DEPTH = 4
"""Of sub-directories: OME-TIFF has one level, raw photographs two."""
MAX_ENTRIES = 4096
"""Of one directory; TIFF, EXIF and all scanners' own tags together are a few hundred."""
MAX_TEXT_BYTES = 2**23
"""Of one text. Descriptions that hold a label's picture or the stage positions of every tile have a few MB."""
SHARED_BYTES = 2**26
"""All values of all directories together may have as many bytes as the file has, and so many more, since small ones such
as JPEG tables may be shared. More is the same bytes named again and again."""
_TEXT_TAGS = (270, 700, 65449)
"""Description, XMP and NDPI's list of properties, which need not be of a type for text."""
_SUB_DIRECTORIES = 330
_SIZES = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8], np.int64)
"""Bytes of a value, by the number of its type."""
_ADDRESS_TYPES = {4: "u4", 13: "u4", 16: "u8", 18: "u8"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file writes its directories."""

    order: str
    counts: str
    """Of entries."""
    pointers: str
    """To directories."""
    entries: np.dtype[np.void]

    @property
    def inline(self) -> int:
        """Bytes of a value that stands in the entry itself."""
        return self.entries["value"].itemsize


def check_directories(path: Path, name: str) -> None:
    """Make sure that the directories of a TIFF end, and are no more and no larger than a slide's; other files pass.

    Raises
    ------
    UnreadableSlideError
        If they go in a circle, or are too many or too large.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout = _layout(file.read(4), size)
        if layout is not None:
            _Walk(file, layout, size, name).go()


def _layout(head: bytes, size: int) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 4:
        return None
    version = int.from_bytes(head[2:4], "little" if order == "<" else "big")
    if version not in (42, 43):
        return None
    number, value = ("u4", "V4") if version == 42 else ("u8", "V8")
    fields = [("tag", f"{order}u2"), ("type", f"{order}u2"), ("count", order + number), ("value", value)]
    if version == 43:
        return _Layout(order, "u8", "u8", np.dtype(fields))
    return _Layout(order, "u2", "u8" if order == "<" and size > 2**32 else "u4", np.dtype(fields))


class _Walk:
    """Once through all directories of a file."""

    def __init__(self, file: BinaryIO, layout: _Layout, size: int, name: str) -> None:
        self._file, self._layout, self._size, self._name = file, layout, size, name
        self._seen: set[int] = set()
        self._bytes = 0

    def go(self) -> None:
        first = self._number(8 if self._layout.counts == "u8" else 4, self._layout.pointers)
        if first is not None:
            self._follow(first, ())

    def _follow(self, offset: int, above: tuple[int, ...]) -> None:
        """Walk the chain that begins at `offset`, and all below it. above : the directories that lead there"""
        if len(above) > MAX_DEPTH:
            raise self._refused("its directories lie in one another too deep")
        chain: set[int] = set()
        # Zero ends a chain. One that leaves the file is cut off, which is told when its pixels are looked for.
        while 0 < offset < self._size:
            if offset in chain or offset in above:
                raise self._refused("its directories go in a circle")
            if offset in self._seen:  # writers chain sub-directories and list them too
                return
            chain.add(offset)
            self._seen.add(offset)
            if len(self._seen) > MAX_DIRECTORIES:
                raise self._refused(f"it has more than {MAX_DIRECTORIES} directories, of which slides have a few")
            following, below = self._look(offset)
            for sub in below:
                self._follow(sub, (*above, offset))
            offset = following

    def _look(self, offset: int) -> tuple[int, list[int]]:
        """The directory after that at `offset`, and those below it, after a look at its entries."""
        layout = self._layout
        count = self._number(offset, layout.counts) or 0
        if count > MAX_ENTRIES:
            raise self._refused(f"a directory of it has {count} entries, of which slides have some dozens")
        start, length = offset + np.dtype(layout.counts).itemsize, count * layout.entries.itemsize
        entries = _numbers(self._read(start, length), layout.entries)
        self._weigh(entries)
        subs = [address for entry in entries[entries["tag"] == _SUB_DIRECTORIES] for address in self._addresses(entry)]
        return self._number(start + length, layout.pointers) or 0, subs

    def _weigh(self, entries: NDArray[np.void]) -> None:
        types = entries["type"]
        each = np.where(types < len(_SIZES), _SIZES[np.minimum(types, len(_SIZES) - 1)], 0)
        # Python's integers: a forged count times eight is beyond 64 bits.
        sizes = [int(count) * int(size) for count, size in zip(entries["count"], each, strict=True)]
        for size, type_, tag in zip(sizes, types, entries["tag"], strict=True):
            if size > MAX_TEXT_BYTES and (type_ == 2 or tag in _TEXT_TAGS) and size <= self._size:
                raise self._refused(f"a text of it has {size} bytes, of which slides have at most {MAX_TEXT_BYTES}")
        # A value that is larger than the file is cut off with it, and no reader keeps it.
        self._bytes += sum(size for size in sizes if self._layout.inline < size <= self._size)
        if self._bytes > self._size + SHARED_BYTES:
            raise self._refused("its directories name the same bytes again and again")

    def _addresses(self, entry: np.void) -> list[int]:
        kind = _ADDRESS_TYPES.get(int(entry["type"]))
        if kind is None:
            return []
        count = int(entry["count"])
        if count > MAX_DIRECTORIES:
            raise self._refused(f"it has more than {MAX_DIRECTORIES} directories, of which slides have a few")
        data, address = bytes(entry["value"]), np.dtype(self._layout.order + kind)
        if count * address.itemsize > self._layout.inline:
            at = int.from_bytes(data, "little" if self._layout.order == "<" else "big")
            data = self._read(at, count * address.itemsize)
        return [int(number) for number in _numbers(data, address)[:count]]

    def _number(self, offset: int, kind: str) -> int | None:
        number = np.dtype(self._layout.order + kind)
        found = _numbers(self._read(offset, number.itemsize), number)
        return int(found[0]) if len(found) else None

    def _read(self, offset: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, offset) if 0 <= offset < self._size else b""

    def _refused(self, why: str) -> UnreadableSlideError:
        return UnreadableSlideError(f"{self._name} is no slide that can be read: {why}; export it again")


def _numbers(data: bytes, kind: np.dtype[Any]) -> NDArray[Any]:
    """As many of `kind` as `data` holds whole: a file may end anywhere."""
    return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
