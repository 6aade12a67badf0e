"""Tiles that are JPEG 2000: of a TIFF as Aperio's scanners write them and, as far as their headers are looked at, of DICOM."""

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile

from serving.slides.resample import Pixels

_CODESTREAM = b"\xff\x4f"
_START = _CODESTREAM + b"\xff\x51"
"""Start of a codestream, and of what it says of its size, which comes first (ITU-T T.800, A.4.1 and A.5.1)."""
_SIZE = struct.Struct(">4x 4I 16x H 9B")
"""Behind its length and capabilities: where the picture ends and begins on the reference grid, each across and down; behind the tiles
of the codestream: the number of components, and of each its depth less one and the steps of its samples, across and down."""
_SEGMENT, _COD, _TILE = struct.Struct(">HH 4x B"), 0xFF52, 0xFF90
"""A marker, the length of its segment without it, and what of a COD segment says whether components are transformed; SOT, which ends the header."""
_RGB = (7, 1, 1) * 3
"""Three components of 8 bits, unsigned, of every pixel."""
RGB, YCBCR = tifffile.COMPRESSION.APERIO_JP2000_RGB, tifffile.COMPRESSION.APERIO_JP2000_YCBC


@dataclass(frozen=True, slots=True)
class Jpeg2000Codec:
    """Decodes codestreams of red, green and blue. Those of YCbCr, mostly with fewer samples of colour, OpenSlide converts in its own way."""

    is_rgb: bool

    @property
    def head_bytes(self) -> int:
        """See `TileCodec.head_bytes`."""
        return len(_START) + _SIZE.size

    def is_sound(self, head: bytes, width: int, height: int) -> bool:
        """See `TileCodec.is_sound`. OpenSlide compares only where the picture ends, and reads behind what was decoded if it begins later."""
        if not head:
            return True  # the file has no such tile
        stated = _read_size(head)
        if stated is None or stated[:5] != (width, height, 0, 0, 3):
            return False
        across, down = stated[6::3], stated[7::3]
        return all(step and side % step == 0 for side, steps in ((width, across), (height, down)) for step in steps)

    def decode(self, stored: bytes, width: int, height: int) -> Pixels | None:
        """See `TileCodec.decode`."""
        # What claims to be larger is left before anything is allocated for it.
        if not self.is_rgb or _read_size(stored) != (width, height, 0, 0, 3, *_RGB):
            return None
        try:
            decoded = np.asarray(imagecodecs.jpeg2k_decode(stored, numthreads=1))
        except (imagecodecs.Jpeg2kError, ValueError):
            return None
        return decoded if decoded.shape == (height, width, 3) and decoded.dtype == np.uint8 else None


def find_jpeg2000_codec(page: tifffile.TiffPage) -> Jpeg2000Codec | None:
    """The codec of a TIFF directory's tiles; None if they are not of Aperio's compressions 33003 or 33005."""
    return Jpeg2000Codec(page.compression == RGB) if page.compression in (RGB, YCBCR) else None


def _read_size(stream: bytes) -> tuple[int, ...] | None:
    """The members of `_SIZE`; None where no codestream begins."""
    if not stream.startswith(_START) or len(stream) < len(_START) + _SIZE.size:
        return None
    return _SIZE.unpack_from(stream, len(_START))


def has_colour_transform(stream: bytes) -> bool | None:
    """Whether a codestream's components are a transform of red, green and blue, which decoders undo; None where it does not say.

    Its COD segment, one of those after the size, says so (ITU-T T.800, A.6.1).
    """
    at = len(_CODESTREAM)
    while (segment := stream[at : at + _SEGMENT.size]) and len(segment) == _SEGMENT.size:
        marker, length, transform = _SEGMENT.unpack(segment)
        if marker == _COD:
            return bool(transform)
        if marker == _TILE or length < 2:
            return None
        at += 2 + length
    return None
