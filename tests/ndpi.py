"""NDPI files as NanoZoomer scanners write them: classic TIFF with 64-bit addresses of directories.

Sources: OpenSlide's description of the Hamamatsu format, and Hamamatsu's "Our file format" (SDK/API pages).
"""

import io
import itertools
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMAT, LENS, FOCAL_PLANE, MCU_STARTS, LABEL, MCU_STARTS_HIGH, PROPERTIES = (
    65420, 65421, 65424, 65426, 65427, 65432, 65449,
)  # fmt: skip
_ASCII, _SHORT, _LONG, _RATIONAL, _SLONG, _FLOAT = 2, 3, 4, 5, 9, 11
_SIZES = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _SLONG: 4, _FLOAT: 4}


@dataclass
class NdpiWriter:
    """Adds directories one by one, each behind what it points to. `high_bits`: whether those of values follow a directory"""

    file: BinaryIO
    high_bits: bool = True
    _link: int = field(default=4, init=False)
    """Where the address of the next directory goes."""

    def __post_init__(self) -> None:
        self.file.write(b"II" + struct.pack("<HQ", 42, 0))

    def directory(self, values: dict[int, tuple[int, int, bytes]], strip: bytes, *, at: int = 0) -> int:
        """Write a strip, values and then the directory; gives where the directory lies.

        values : type, count and bytes by tag
        at : the least address
        """
        self.file.seek(max(self.file.seek(0, io.SEEK_END), at))
        offset = self._put(strip)
        values = {**values, 273: (_LONG, 1, struct.pack("<Q", offset)), 279: (_LONG, 1, struct.pack("<Q", len(strip)))}
        rows, high = b"", b""
        for tag, (kind, count, value) in sorted(values.items()):
            # Texts lie outside of the directory even where they are short.
            outside = kind == _ASCII or count * _SIZES[kind] > 4
            held = struct.pack("<Q", self._put(value)) if outside else value
            low, up = held[:4].ljust(4, b"\0"), held[4:].ljust(4, b"\0")
            rows, high = rows + struct.pack("<HHI", tag, kind, count) + low, high + up
        place = self._put(struct.pack("<H", len(values)) + rows + bytes(8) + (high if self.high_bits else b""))
        self.lead_to(place)
        self._link = place + 2 + len(rows)
        return place

    def lead_to(self, place: int) -> None:
        """Let the last directory be followed by the one at `place`."""
        self.file.seek(self._link)
        self.file.write(struct.pack("<Q", place))

    def _put(self, data: bytes) -> int:
        place = self.file.tell() + self.file.tell() % 2
        self.file.seek(place)
        self.file.write(data)
        return place


def write_ndpi(
    path: Path, pixels: NDArray[np.uint8], *, levels: int = 3, tiled: bool = True, at: int = 0, high_bits: bool = True
) -> Path:
    """A slide at 0.25 um/px with a macro picture and a map.

    pixels : uint8, shape (height, width, 3)
    tiled : whether levels have restart markers that are listed; else each is one JPEG without
    at : the least address of anything but the header
    """
    with path.open("wb") as file:
        writer = NdpiWriter(file, high_bits)
        for level in range(levels):
            shown = np.ascontiguousarray(pixels[:: 2**level, :: 2**level])
            writer.directory(*read_level(shown, 40.0 / 2**level, tiled=tiled), at=at)
        macro = np.full((60, 160, 3), 200, np.uint8)
        writer.directory(*read_level(macro, -1.0, tiled=False), at=at)
        values, _ = read_level(macro, -2.0, tiled=False)
        grey = {258: (_SHORT, 1, struct.pack("<H", 8)), 259: (_SHORT, 1, struct.pack("<H", 1))}
        grey |= {262: (_SHORT, 1, struct.pack("<H", 1)), 277: (_SHORT, 1, struct.pack("<H", 1))}
        writer.directory({**values, **grey}, bytes(160 * 60), at=at)
    return path


def read_level(
    pixels: NDArray[np.uint8], lens: float, *, tiled: bool
) -> tuple[dict[int, tuple[int, int, bytes]], bytes]:
    """What the directory of a picture says, and its strip.

    lens : objective that has such pixels; -1 for a macro picture, -2 for a map
    """
    height, width = pixels.shape[:2]
    jpeg = io.BytesIO()
    blocks = width // 16  # a row of MCUs of 16 x 8 px
    Image.fromarray(pixels).save(
        jpeg, "JPEG", quality=95, subsampling="4:2:2", **({"restart_marker_blocks": blocks // 2} if tiled else {})
    )
    strip = jpeg.getvalue()

    def number(kind: int, *of: float) -> tuple[int, int, bytes]:
        return (
            kind,
            len(of),
            struct.pack("<" + {_SHORT: "H", _LONG: "I", _SLONG: "i", _FLOAT: "f"}[kind] * len(of), *of),
        )

    def text(words: str) -> tuple[int, int, bytes]:
        return _ASCII, len(words) + 1, words.encode() + b"\0"

    per_cm = (_RATIONAL, 1, struct.pack("<II", round(1000 * abs(lens)), 1))
    values = {
        256: number(_LONG, width), 257: number(_LONG, height), 258: number(_SHORT, 8, 8, 8), 259: number(_SHORT, 7),
        262: number(_SHORT, 6), 271: text("Hamamatsu"), 272: text("C13210"), 277: number(_SHORT, 3),
        278: number(_LONG, height), 282: per_cm, 283: per_cm, 284: number(_SHORT, 1), 296: number(_SHORT, 3),
        530: number(_SHORT, 2, 1), FORMAT: number(_LONG, 1), LENS: number(_FLOAT, lens),
        65422: number(_SLONG, 1000), 65423: number(_SLONG, -1000), FOCAL_PLANE: number(_SLONG, 0), LABEL: text("A1"),
        PROPERTIES: text("Slide.Rotation=0\r\nObjective.Lens.Magnificant=40\r\n"),
    }  # fmt: skip
    if tiled:
        scan = strip.index(b"\xff\xda")
        first = scan + 2 + int.from_bytes(strip[scan + 2 : scan + 4], "big")
        starts = [first, *(first + found.end() for found in re.finditer(rb"\xff[\xd0-\xd7]", strip[first:]))]
        assert all(one < other for one, other in itertools.pairwise(starts))
        values[MCU_STARTS] = number(_LONG, *starts)
        values[MCU_STARTS_HIGH] = number(_LONG, *(0 for _ in starts))
    return values, strip
