"""MetaImage files of one part: lines `Key = value`, and behind the last of them the pixels, plain or by zlib.

By https://itk.org/Wiki/MetaIO/Documentation. Only what a stained picture is: red, green and blue of eight bits, not turned.
"""

import hashlib
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from serving.core.errors import SlideTooLargeError, UnreadableSlideError, UnsupportedFormatError
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.imageslide import MAX_IMAGE_PIXELS, ImageSlide, PictureMemoryError
from serving.slides.limits import check_size

HEADER_BYTES = 2**16
"""Headers of ITK have some hundred bytes."""
OFFSET = "Offset"
"""Property of the slide: mm of the first pixel in the frame that its writer had, as numbers with spaces between them."""
_LAST = "ElementDataFile"
_CHANNELS = 3
_BESIDE_BYTES = 2**26
_UM_PER_MM = 1000
_FINEST_UM, _COARSEST_UM = 0.05, 10.0


def open_metaimage(path: Path, name: str, *, memory: int | None = None) -> ImageSlide:
    """Decode a picture.

    memory : bytes that this process may use; None: as many as there are

    Raises
    ------
    PictureMemoryError
        If it needs more than `memory` by its header; nothing was decoded.
    SlideTooLargeError
        If it has more pixels than a picture may have.
    UnsupportedFormatError
        If it is no picture of red, green and blue of eight bits, its pixels are in another file, or it is turned.
    UnreadableSlideError
        If its header does not parse, or it ends too early.
    """
    with path.open("rb") as handle:
        stated = _read_header(handle, name)
        width, height = _read_size(stated, name)
        if width * height > MAX_IMAGE_PIXELS:
            raise SlideTooLargeError(
                f"{name} has {width} x {height} px; pictures may have {MAX_IMAGE_PIXELS} px; convert larger ones to a tiled TIFF"
            )
        check_size(width, height)
        size = width * height * _CHANNELS
        compressed = stated.get("CompressedData", "False").lower() == "true"
        if memory is not None and (needed := _BESIDE_BYTES + size * (3 if compressed else 2)) > memory:
            raise PictureMemoryError(needed)
        content = _inflate(handle, size, name) if compressed else handle.read(size)
        if len(content) != size:
            raise UnreadableSlideError(f"{name} is cut off: {len(content)} bytes of {size} are there; copy it again")
        handle.seek(0)
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    pixels = np.frombuffer(content, np.uint8).reshape(height, width, _CHANNELS)
    info = cast("Mapping[str | tuple[int, int], object]", stated)
    mpp = _read_spacing(stated, name)
    return ImageSlide(pixels, mpp=mpp, name=name, vendor="metaimage", sha256=digest, info=info)


def _read_header(handle: BinaryIO, name: str) -> Mapping[str, str]:
    stated: dict[str, str] = {}
    left = HEADER_BYTES
    while _LAST not in stated:
        line = handle.readline(left)
        left -= len(line)
        key, mark, value = line.decode("latin-1").partition("=")
        if not mark or not line.endswith(b"\n"):
            raise UnreadableSlideError(f"{name} is a damaged MetaImage: its header does not parse; copy it again")
        stated[key.strip()] = value.strip()
    return stated


def _read_size(stated: Mapping[str, str], name: str) -> tuple[int, int]:
    """Width and height; raises where the picture is no plain colour picture."""
    kind = stated.get("ElementType", ""), stated.get("ElementNumberOfChannels", "1")
    if kind not in (("MET_UCHAR", "3"), ("MET_UCHAR_ARRAY", "3")):
        raise UnsupportedFormatError(
            f"{name} holds {kind[1]} channels of {kind[0] or 'no stated type'}; stained tissue is read as red, green and blue of "
            "8 bits (MET_UCHAR, 3 channels)"
        )
    if stated[_LAST] != "LOCAL":
        raise UnsupportedFormatError(f"{name} has its pixels in another file; write it as one .mha")
    turn = _read_numbers(stated, "TransformMatrix", name)
    if turn and turn != tuple(np.eye(round(len(turn) ** 0.5)).ravel()):
        raise UnsupportedFormatError(f"{name} is turned (TransformMatrix); write it as it is stored")
    sides = tuple(int(side) for side in _read_numbers(stated, "DimSize", name))
    if len(sides) not in (2, 3) or any(side < 1 for side in sides):
        raise UnreadableSlideError(f"{name} states no width and height (DimSize)")
    if sides[2:] not in ((), (1,)):
        raise UnsupportedFormatError(f"{name} is a stack of {sides[2]} pictures; give one")
    return sides[0], sides[1]


def _read_numbers(stated: Mapping[str, str], key: str, name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in stated.get(key, "").split())
        if not all(map(math.isfinite, numbers)):
            raise ValueError(key)
        return numbers
    except ValueError as error:
        raise UnreadableSlideError(f"{name} states {key} that is no row of numbers") from error


def _read_spacing(stated: Mapping[str, str], name: str) -> PixelSize | None:
    """Microns per px; ITK writes 1 mm where it knows nothing."""
    spacing = _read_numbers(stated, "ElementSpacing", name) or _read_numbers(stated, "ElementSize", name)
    if len(spacing) < 2 or not all(0 < side < np.inf for side in spacing[:2]):
        return None
    return check_stated_size(*(side * _UM_PER_MM for side in spacing[:2]), low=_FINEST_UM, high=_COARSEST_UM)


def _inflate(handle: BinaryIO, size: int, name: str) -> bytes:
    """`size` bytes and not more, whatever comes out."""
    unpacking = zlib.decompressobj()
    try:
        return unpacking.decompress(handle.read(2 * size + HEADER_BYTES), size)
    except zlib.error as error:
        raise UnreadableSlideError(f"{name} is a damaged MetaImage: its pixels do not decode; copy it again") from error
