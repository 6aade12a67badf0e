"""The samples of a TIFF page: decoded tile by tile, what they mean, and how they become 8-bit RGB.

Whatever is not known to be converted rightly is refused by its name: grey levels or inks taken for red, green and blue give
numbers that look like any others.
"""

import io
import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.slides.resample import Pixels

MAX_BITS = 16
UPRIGHT = 1
"""The first row is above and the first column left (TIFF 6.0, Orientation). Of the others, which are 2 to 8, libtiff mirrors some,
tile by tile, and leaves the tiles where they are."""
_RGB, _YCBCR, _GREY = "RGB", "YCBCR", ("MINISWHITE", "MINISBLACK")
_UNSIGNED = 1
_ASSOCIATED, _UNASSOCIATED = 1, 2
"""Kinds of alpha channels (TIFF 6.0, ExtraSamples)."""
_COLOUR_TRANSFORMED = ("JPEG", "APERIO_JP2000_YCBC", "WEBP")
"""Compressions whose decoder gives RGB for YCbCr, or whose YCbCr is converted here. That of JPEG 2000 depends on the codestream."""
READ_COMPRESSIONS = (
    "NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "JPEG", "APERIO_JP2000_YCBC", "APERIO_JP2000_RGB", "JPEG2000",
    "JPEG_2000_LOSSY", "ZSTD", "ZSTD_DEPRECATED", "WEBP", "JPEGXL", "JPEGXL_DNG", "LZMA",
)  # fmt: skip
"""As tifffile names them."""
_DIM = 1 / 8
"""Share of the range that stained tissue and glass exceed by far, and samples of fewer bits than the file states do not."""


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """How a page stores a pixel.

    extra : kinds of the samples after the first three, as TIFF numbers them
    maximum : the sample value of full light
    orientation : where the first row and column are, as TIFF numbers it; 1 is upright
    """

    photometric: str
    compression: str
    samples: int
    bits: int
    planar: bool
    sample_format: int
    extra: tuple[int, ...]
    maximum: int
    orientation: int = UPRIGHT

    @property
    def is_plain(self) -> bool:
        """Whether it is 8-bit RGB or YCbCr, interleaved, upright, and nothing else."""
        plain = self.photometric in (_RGB, _YCBCR) and self.samples == 3 and not self.planar
        plain = plain and self.orientation == UPRIGHT
        return plain and (self.bits, self.sample_format, self.maximum) == (8, _UNSIGNED, 255)

    def check(self, name: str, *, channels: int = 1) -> None:
        """Refuse what cannot be converted rightly.

        channels : pages that make one picture, a sample each

        Raises
        ------
        UnsupportedFormatError
            If so; the message names the photometric, the sample count, the bit depth, the compression or the orientation.
        """
        if self.orientation != UPRIGHT:
            raise UnsupportedFormatError(
                f"{name} states that its picture is mirrored or turned (Orientation {self.orientation}), which programs show "
                "in different ways; export it upright, for example with `vips autorot` and `vips tiffsave --tile --pyramid`"
            )
        if reason := self._reason(channels):
            raise UnsupportedFormatError(
                f"{name} holds {reason}; stained tissue is read as red, green and blue of 8 or 16 bits: "
                "export it as RGB, for example with `vips tiffsave --tile --pyramid`"
            )

    def _reason(self, channels: int) -> str:
        """What stands against it, in words; empty where nothing does."""
        grey = self.photometric in _GREY
        planes = channels == 3 and grey and self.samples == 1
        wrong = {
            f"tiles compressed with {self.compression}, which is not read": self.compression not in READ_COMPRESSIONS,
            f"samples that are no unsigned integers (SampleFormat {self.sample_format})": self.sample_format
            != _UNSIGNED,
            f"samples of {self.bits} bits": not 8 <= self.bits <= MAX_BITS,
            f"{self.samples} grey channel{'s' if self.samples > 1 else ''} of {self.bits} bits ({self.photometric})": grey
            and not planes,
            f"pixels of photometric {self.photometric}": self.photometric not in (_RGB, _YCBCR, *_GREY),
            f"YCBCR pixels compressed with {self.compression}": self.photometric == _YCBCR
            and (self.planar or self.compression not in _COLOUR_TRANSFORMED),
            f"{self.samples} samples a pixel": not planes and self.samples not in (3, 4),
        }
        return next((reason for reason, holds in wrong.items() if holds), "")

    def to_rgb(self, stored: NDArray[np.unsignedinteger]) -> Pixels:
        """8-bit RGB over white of stored samples, shape (height, width, samples); a fourth that is no alpha is left out."""
        colours = stored[..., :3]
        if self.compression == "APERIO_JP2000_YCBC":
            colours = _rgb_of_ycbcr(colours)
        if self.maximum != 255 or colours.dtype != np.uint8:
            scaled = colours.astype(np.float32) * np.float32(255 / self.maximum)
            colours = np.rint(np.minimum(scaled, 255)).astype(np.uint8)
        if stored.shape[-1] > 3 and self.extra and self.extra[0] in (_ASSOCIATED, _UNASSOCIATED):
            opaque = np.minimum(stored[..., 3:4].astype(np.float32) / self.maximum, 1)
            light = colours if self.extra[0] == _ASSOCIATED else colours * opaque
            colours = np.rint(np.minimum(light + 255 * (1 - opaque), 255)).astype(np.uint8)
        return np.ascontiguousarray(colours)

    def check_range(self, brightest: int, name: str) -> None:
        """Refuse samples that use a small part of the stated range only, such as 12 bits stored as 16.

        brightest : the largest sample seen, alpha apart

        Raises
        ------
        UnsupportedFormatError
            If so.
        """
        if self.bits > 8 and brightest <= _DIM * self.maximum:
            raise UnsupportedFormatError(
                f"{name} states samples of {self.bits} bits, full light at {self.maximum}, but none seen is above {brightest}: "
                "how many bits count is not known; export it as RGB of 8 bits, or state MaxSampleValue"
            )


def read_layout(page: tifffile.TiffPage, *, significant_bits: int | None = None) -> SampleLayout:
    """The layout of a page; `significant_bits` where something beside the page states them."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    stated = page.tags.get("MaxSampleValue")
    largest = 2**bits - 1
    if significant_bits is not None and 8 <= significant_bits <= bits:
        largest = 2**significant_bits - 1
    elif stated is not None and bits > 8:
        values = stated.value if isinstance(stated.value, tuple) else (stated.value,)
        if all(isinstance(v, int) and 255 <= v < 2**bits for v in values):
            largest = max(values)
    return SampleLayout(
        photometric=_enum_name(tifffile.PHOTOMETRIC, page.photometric),
        compression=_enum_name(tifffile.COMPRESSION, page.compression),
        samples=int(page.samplesperpixel),
        bits=int(bits) if isinstance(page.bitspersample, int) or len(set(page.bitspersample)) == 1 else 0,
        planar=page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1,
        sample_format=int(page.sampleformat) if isinstance(page.sampleformat, int) else 0,
        extra=tuple(int(kind) for kind in page.extrasamples),
        maximum=largest,
        orientation=_orientation(page),
    )


def _orientation(page: tifffile.TiffPage) -> int:
    """As the page states it; what means nothing is upright."""
    stated = page.tags.get("Orientation")
    return stated.value if stated is not None and stated.value in range(2, 9) else UPRIGHT


def _enum_name(names: type, value: object) -> str:
    try:
        return str(names(value).name)
    except ValueError:
        return str(value)


def _rgb_of_ycbcr(stored: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """ITU-R BT.601 at full range, as JFIF has it."""
    y, cb, cr = np.moveaxis(stored.astype(np.float32), -1, 0)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return np.asarray(np.rint(rgb.clip(0, 255)), np.uint8)


def read_segment(
    file: io.FileIO,
    page: tifffile.TiffPage,
    index: int,
    tables: bytes | None,
    *,
    name: str,
    kind: Literal["tile", "strip"] = "tile",
) -> NDArray[np.unsignedinteger] | None:
    """The samples of a segment of a page, (height, width, samples); None where the file has none.

    tables : what JPEG segments of the page have in common. name : what errors call the slide

    Raises
    ------
    UnreadableSlideError
        If it does not decode.
    """
    count = int(page.databytecounts[index])
    if not count:
        return None
    data = os.pread(file.fileno(), count, int(page.dataoffsets[index]))
    try:
        decoded, _, _ = page.decode(data, index, jpegtables=tables)
    except MemoryError:
        raise
    except Exception as error:  # every codec has errors of its own
        raise UnreadableSlideError(
            f"{name} has a damaged {kind} (number {index} of {len(page.dataoffsets)}); copy it again from the scanner"
        ) from error
    return None if decoded is None else np.asarray(decoded[0])
