"""TIFF files byte by byte, in every layout: what writers write, and what no writer would."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4, 16: 8, 18: 8}
"""By the number of a type."""
ASCII, SHORT, LONG, LONG8 = 2, 3, 4, 16


@dataclass(frozen=True)
class TagEntry:
    """An entry of a directory. value : its bytes, where they are not stated elsewhere; at : where they are said to lie"""

    tag: int
    type: int
    count: int
    value: bytes = b""
    at: int | None = None


@dataclass(frozen=True)
class Writer:
    """One of the four layouts. order : `<` or `>`; big : BigTIFF"""

    order: str
    big: bool
    made: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        mark = b"II" if self.order == "<" else b"MM"
        head = struct.pack(self.order + "HHHQ", 43, 8, 0, 16) if self.big else struct.pack(self.order + "HI", 42, 8)
        self.made.extend(mark + head)

    @property
    def address(self) -> str:
        return self.order + ("Q" if self.big else "I")

    def size_of(self, entries: int) -> int:
        return 8 + entries * 20 + 8 if self.big else 2 + entries * 12 + 4

    def number(self, kind: int, *values: int) -> bytes:
        return struct.pack(self.order + {SHORT: "H", LONG: "I", LONG8: "Q"}[kind] * len(values), *values)

    def directory(self, entries: Sequence[TagEntry], following: int | None = None) -> int:
        """Add a directory, and the values that do not fit into it behind it; gives where it lies.

        following : the next one's address; by default behind this one and its values
        """
        start, inline = len(self.made), 8 if self.big else 4
        end, rows, values = start + self.size_of(len(entries)), b"", b""
        for entry in entries:
            value = entry.value
            if entry.at is not None or len(value) > inline:
                at = end + len(values) if entry.at is None else entry.at
                values, value = values + (b"" if entry.at is not None else value), struct.pack(self.address, at)
            rows += struct.pack(self.order + ("HHQ" if self.big else "HHI"), entry.tag, entry.type, entry.count)
            rows += value.ljust(inline, b"\0")
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(entries))
        following = end + len(values) if following is None else following
        self.made.extend(count + rows + struct.pack(self.address, following) + values)
        return start
