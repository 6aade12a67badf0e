"""The directories of a TIFF, walked once within bounds before any reader parses them.

A reader that follows a chain without end, or keeps every value of 60,000 directories, is busy for minutes with a small file.
The layouts are TIFF 6.0, BigTIFF and NDPI. An NDPI is a classic TIFF whose addresses of directories have 64 bits, and the
high halves of whose values follow each directory (Hamamatsu, "Our file format"; OpenSlide, "Hamamatsu format"). Of a file of
at most 4 GiB all high halves are 0: it is read as the classic TIFF that it also is, whatever its name.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.core.errors import UnreadableSlideError

MAX_DIRECTORIES = 4096
"""Of one file, those of sub-directories too. A slide has one for each level of each channel and focus plane: 60 channels or
planes of 8 levels have 480."""
MAX_DEPTH = 4
"""Of sub-directories: OME-TIFF has one level, raw photographs two."""
MAX_ENTRIES = 4096
"""Of one directory; TIFF, EXIF and all scanners' own tags together are a few hundred."""
MAX_ALL_ENTRIES = 2**18
"""Of all directories together: 64 for each, were there as many as there may be."""
MAX_TEXT_BYTES = 2**26
"""Of one text. Philips keeps pictures of label and macro in the description, Ventana how every two tiles join."""
SHARED_BYTES = 2**26
"""All values of all directories together may have as many bytes as the file has, and so many more, since small ones such
as JPEG tables may be shared. More is the same bytes named again and again."""
_TEXT_TAGS = (270, 700, 65449)
"""Description, XMP and NDPI's list of properties, which need not be of a type for text."""
_SUB_DIRECTORIES = 330
_NDPI = 65420
"""A tag that every NDPI has in its first directory, and no other file; OpenSlide tells them by it too."""
_NDPI_BYTES = 2**42
"""More than any NDPI has; what follows the address in other TIFFs is rarely so small a number."""
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
    ndpi: bool = False
    """Whether it is an NDPI whose addresses need more than 32 bits."""

    @property
    def inline(self) -> int:
        """Bytes of a value that stands in the entry itself."""
        return self.entries["value"].itemsize


def open_pages(path: Path) -> tifffile.TiffFile:
    """A TIFF by tifffile, in the layout that `check_directories` walks; tifffile alone would go by the name's suffix.

    Raises
    ------
    tifffile.TiffFileError
        If it is none.
    """
    return tifffile.TiffFile(path, _multifile=False, is_ndpi=is_large_ndpi(path))


def is_large_ndpi(path: Path) -> bool:
    """Whether a file is an NDPI of more than 4 GiB, by its content."""
    with path.open("rb") as file:
        layout = _layout(file, path.stat().st_size)
    return layout is not None and layout.ndpi


def check_directories(path: Path, name: str) -> None:
    """Make sure that the directories of a TIFF end, and are no more and no larger than a slide's; other files pass.

    Raises
    ------
    UnreadableSlideError
        If they go in a circle, are too many or too large, or begin behind the end of the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout = _layout(file, size)
        if layout is not None:
            _DirectoryWalker(file, layout, size, name).go()


def _layout(file: BinaryIO, size: int) -> _Layout | None:
    head = os.pread(file.fileno(), 4, 0)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 4:
        return None
    version = int.from_bytes(head[2:4], "little" if order == "<" else "big")
    if version not in (42, 43):
        return None
    if version == 43:
        return _Layout(order, "u8", "u8", _entries(order, "u8", "V8"))
    classic = _classic(order)
    if size > 2**32 and _has_ndpi_directory(file, classic):
        return replace(classic, pointers="u8", ndpi=True)
    return classic


def _classic(order: str) -> _Layout:
    return _Layout(order, "u2", "u4", _entries(order, "u4", "V4"))


def _entries(order: str, count: str, value: str) -> np.dtype[np.void]:
    return np.dtype([("tag", f"{order}u2"), ("type", f"{order}u2"), ("count", order + count), ("value", value)])


def _has_ndpi_directory(file: BinaryIO, layout: _Layout) -> bool:
    """Whether the first address, as one of 64 bits, leads to a whole directory with NDPI's tag."""

    def read(offset: int, size: int) -> bytes:
        return os.pread(file.fileno(), size, offset) if offset < 2**63 else b""

    first = int(np.frombuffer(read(4, 8), layout.order + "u8")[0])
    counted = _numbers(read(first, 2), np.dtype(layout.order + "u2"))
    if not (first and len(counted)):
        return False
    length = int(counted[0]) * layout.entries.itemsize
    held = read(first + 2, length + 8)
    entries = _numbers(held[:length], layout.entries)
    flags = entries["count"][entries["tag"] == _NDPI]
    return len(held) == length + 8 and bool(_value_sizes(entries).all()) and len(flags) > 0 and bool(flags[-1])


def _value_sizes(entries: NDArray[np.void]) -> NDArray[np.int64]:
    """Bytes of one value of each entry, 0 where its type is unknown."""
    types = entries["type"]
    return np.where(types < len(_SIZES), _SIZES[np.minimum(types, len(_SIZES) - 1)], 0)


class _DirectoryWalker:
    """Once through all directories of a file."""

    def __init__(self, file: BinaryIO, layout: _Layout, size: int, name: str) -> None:
        self._file, self._layout, self._size, self._name = file, layout, size, name
        self._seen: set[int] = set()
        self._bytes = 0
        self._entries = 0

    def go(self) -> None:
        if self._layout.ndpi and self._layout.order == ">":
            raise self._refusal("it is an NDPI in big-endian order, which no scanner writes")
        first = self._number(8 if self._layout.counts == "u8" else 4, self._layout.pointers)
        if first is None:
            return
        if self._layout.pointers == "u4" and self._name.lower().endswith(".ndpi"):
            # Cut off before its first directory a large NDPI can be told by its name alone.
            wide = self._number(4, "u8") or 0
            first = wide if self._size <= wide < _NDPI_BYTES else first
        if first >= self._size:
            raise UnreadableSlideError(
                f"{self._name} is truncated: its first directory lies at byte {first}, the file ends at {self._size}; "
                "copy it again"
            )
        self._follow(first, ())

    def _follow(self, offset: int, above: tuple[int, ...]) -> None:
        """Walk the chain that begins at `offset`, and all below it. above : the directories that lead there."""
        if len(above) > MAX_DEPTH:
            raise self._refusal("its directories lie in one another too deep")
        chain: set[int] = set()
        # Zero ends a chain. A later one that leaves the file is cut off, which is told when its pixels are looked for.
        while 0 < offset < self._size:
            if offset in chain or offset in above:
                raise self._refusal("its directories go in a circle")
            if offset in self._seen:  # writers chain sub-directories and list them too
                return
            chain.add(offset)
            self._seen.add(offset)
            if len(self._seen) > MAX_DIRECTORIES:
                raise self._too_many()
            following, below = self._look(offset)
            for sub in below:
                self._follow(sub, (*above, offset))
            offset = following

    def _look(self, offset: int) -> tuple[int, list[int]]:
        """The directory after that at `offset`, and those below it, after a look at its entries."""
        layout = self._layout
        count = self._number(offset, layout.counts) or 0
        self._entries += count
        if count > MAX_ENTRIES:
            raise self._refusal(f"a directory of it has {count} entries, of which slides have some dozens")
        if self._entries > MAX_ALL_ENTRIES:
            raise self._refusal(f"its directories have more than {MAX_ALL_ENTRIES} entries together")
        start, length = offset + np.dtype(layout.counts).itemsize, count * layout.entries.itemsize
        entries = _numbers(self._read(start, length), layout.entries)
        self._weigh(entries)
        subs = [address for entry in entries[entries["tag"] == _SUB_DIRECTORIES] for address in self._addresses(entry)]
        if subs and layout.ndpi:
            raise self._refusal("it is an NDPI with sub-directories, which no scanner writes")
        return self._number(start + length, layout.pointers) or 0, subs

    def _weigh(self, entries: NDArray[np.void]) -> None:
        # Python's integers: a forged count times eight is beyond 64 bits.
        sizes = [int(count) * int(size) for count, size in zip(entries["count"], _value_sizes(entries), strict=True)]
        for size, type_, tag in zip(sizes, entries["type"], entries["tag"], strict=True):
            if size > MAX_TEXT_BYTES and (type_ == 2 or tag in _TEXT_TAGS) and size <= self._size:
                raise self._refusal(f"a text of it has {size} bytes, of which slides have at most {MAX_TEXT_BYTES}")
        # A value that is larger than the file is cut off with it, and no reader keeps it.
        self._bytes += sum(size for size in sizes if self._layout.inline < size <= self._size)
        if self._bytes > self._size + SHARED_BYTES:
            raise self._refusal("its directories name the same bytes again and again")

    def _addresses(self, entry: np.void) -> list[int]:
        kind = _ADDRESS_TYPES.get(int(entry["type"]))
        if kind is None:
            return []
        count = int(entry["count"])
        if count > MAX_DIRECTORIES:
            raise self._too_many()
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

    def _too_many(self) -> UnreadableSlideError:
        return UnreadableSlideError(
            f"{self._name} has more than {MAX_DIRECTORIES} pictures (TIFF directories), which are more than are read here; "
            "export its brightfield picture as a slide of its own"
        )

    def _refusal(self, why: str) -> UnreadableSlideError:
        return UnreadableSlideError(f"{self._name} is no slide that can be read: {why}; export it again")


def _numbers(data: bytes, kind: np.dtype[Any]) -> NDArray[Any]:
    """As many of `kind` as `data` holds whole: a file may end anywhere."""
    return np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
