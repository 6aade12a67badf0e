"""Tiles of a TIFF that are plain JPEG."""

from dataclasses import dataclass

import numpy as np
import simplejpeg
import tifffile

from serving.slides.resample import Pixels

_START, _END, _ADOBE = b"\xff\xd8", b"\xff\xd9", b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Start and end of image; APP14 up to the byte that tells RGB (0) from YCbCr (1), which tables and tiles of a TIFF may lack."""
_SCAN, _JFIF, _APP14 = 0xDA, 0xE0, 0xEE
_COLOUR_FRAMES = (0xC0, 0xC1, 0xC2)
"""Start of a baseline, extended or progressive frame with Huffman codes (ITU-T T.81, table B.1)."""


@dataclass(frozen=True, slots=True)
class JpegCodec:
    """Decodes tiles of 8-bit RGB or YCbCr. head : the start of a JPEG stream that every tile goes on with."""

    head: bytes

    @property
    def head_bytes(self) -> int:
        """See `TileCodec.head_bytes`."""
        return 0

    def is_sound(self, head: bytes, width: int, height: int) -> bool:
        """See `TileCodec.is_sound`. OpenSlide holds what it decodes against the size that it expects."""
        return True

    def decode(self, stored: bytes, width: int, height: int) -> Pixels | None:
        """See `TileCodec.decode`."""
        # A buffer of the stated size: what claims to be larger fails before it is allocated.
        buffer = np.empty((height, width, 3), np.uint8)
        if (own := _without_colour_markers(stored, tile=True)) is None:
            return None
        try:
            # As strict as OpenSlide, for which libjpeg's warnings are errors; imagecodecs swallows them.
            pixels: Pixels = simplejpeg.decode_jpeg(self.head + own, buffer=buffer, strict=True)
        except ValueError:
            return None
        return pixels if pixels.shape[:2] == (height, width) else None


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


def find_jpeg_codec(page: tifffile.TiffPage) -> JpegCodec | None:
    """The codec of a TIFF directory's tiles; None if they are not JPEG of RGB or YCbCr."""
    colours = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    if not (page.is_tiled and colours and page.compression == tifffile.COMPRESSION.JPEG):
        return None
    transform = bytes([page.photometric == tifffile.PHOTOMETRIC.YCBCR or colours_contradict(page)])
    tables = _without_colour_markers((page.jpegtables or _START + _END)[: -len(_END)])
    return None if tables is None else JpegCodec(_START + _ADOBE + transform + tables)


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
