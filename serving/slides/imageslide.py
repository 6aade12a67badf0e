"""PNG and JPEG fields of view."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from serving.core.errors import SlideTooLargeError, UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import MPP_RANGE
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.arrayslide import ArraySlide
from serving.slides.limits import check_size
from serving.slides.resample import Pixels

MAX_IMAGE_PIXELS = 17 * 10**7
"""A picture is decoded whole, half a GB of RGB, and Pillow refuses little more. Larger ones should be tiled TIFFs."""
_BAND_PIXELS = 2**21
_BESIDE_PIXELS = 2**28
"""Bytes that a process takes beside a picture's pixels: 62 MiB before it opens one, a band in five forms, and later reads."""
_RGB_BYTES = 3
_CORE_BYTES = {"1": 1, "L": 1, "P": 1}
"""Of a pixel as Pillow keeps it, by mode; 4 in all others."""
_COEFFICIENT_BYTES = 2
"""Of a sample of a progressive JPEG, all of which libjpeg keeps until the last scan."""
GREY_NOTE = "the picture is grey; models know stained tissue in colour, so what they say of it is not to be relied on"
_UM_PER_INCH = 25_400
_FINEST_UM, _COARSEST_UM = MPP_RANGE[0] * (1 - 1e-9), MPP_RANGE[1] * (1 + 1e-9)
_STATED = (str, int, float, tuple)
"""Types of what Pillow says that is text or numbers."""
_GREY = {"1", "L", "LA"}
_CONVERTED = {"RGB", "RGBA", "RGBX", "P", "PA", "YCbCr", *_GREY}
"""Pillow's modes of 8 bits that become RGB rightly."""
_NAMED = {
    "I;16": "grey levels of 16 bits", "I;16B": "grey levels of 16 bits", "I;16L": "grey levels of 16 bits",
    "I": "grey levels of 32 bits", "F": "numbers of 32 bits", "CMYK": "inks (CMYK)", "LAB": "CIE L*a*b* colours",
    "HSV": "hue, saturation and value",
}  # fmt: skip


class ImageSlide(ArraySlide):
    """A decoded picture file; its hash is the file's.

    info : what Pillow says beside the pixels
    """

    def __init__(
        self,
        pixels: Pixels,
        *,
        mpp: tuple[float, float] | None,
        name: str,
        vendor: str,
        sha256: str,
        info: Mapping[str | tuple[int, int], object],
    ) -> None:
        super().__init__(pixels, mpp=mpp, name=name, vendor=vendor)
        self._sha256 = sha256
        profile = info.get("icc_profile")
        self._icc_profile = profile if isinstance(profile, bytes) and profile else None
        self._properties = {
            key: str(value) for key, value in info.items() if isinstance(key, str) and isinstance(value, _STATED)
        }

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return self._sha256

    @property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`; by Pillow's names."""
        return self._properties

    @property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`."""
        return self._icc_profile


class PictureMemoryError(MemoryError):
    """A picture takes more memory than there is; `needed` says how many bytes."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} bytes")
        self.needed = needed


def open_image(path: Path, name: str, *, memory: int | None = None) -> ImageSlide:
    """Decode a picture; transparent parts become white.

    memory : bytes that this process may use; None: as many as there are

    Raises
    ------
    PictureMemoryError
        If it needs more than `memory` by its header; nothing was decoded.
    SlideTooLargeError
        If it has more than `MAX_IMAGE_PIXELS`, or a side beyond any scanner's.
    UnsupportedFormatError
        If its samples are not 8-bit colours.
    UnreadableSlideError
        If it does not decode.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    raise SlideTooLargeError(
                        f"{name} has {image.width} x {image.height} px; pictures may have {MAX_IMAGE_PIXELS} px; "
                        "convert larger ones to a tiled TIFF"
                    )
                check_size(image.width, image.height)
                needed = bytes_to_decode(image)
                if memory is not None and needed > memory:
                    raise PictureMemoryError(needed)
                kind, mpp = image.format or "image", _pixel_size(image)
                notes = (GREY_NOTE,) if image.mode in _GREY else ()
                pixels = _rgb_over_white(image, name)
                info = dict(image.info)  # now: what follows the pixels in the file is known too
    except Image.DecompressionBombError as error:
        raise SlideTooLargeError(f"{name} has too many pixels for a picture; convert it to a tiled TIFF") from error
    except UnidentifiedImageError as error:
        raise UnreadableSlideError(f"{name} is a damaged picture (its header does not parse); copy it again") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableSlideError(f"{name} is a damaged picture (its pixels do not decode); copy it again") from error
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    slide = ImageSlide(pixels, mpp=mpp, name=name, vendor=kind.lower(), sha256=digest, info=info)
    slide.notes = notes
    return slide


def bytes_to_decode(image: Image.Image) -> int:
    """Memory that a process takes to decode a picture, by its header: an upper bound that was measured."""
    each = _RGB_BYTES + _CORE_BYTES.get(image.mode, 4)
    if image.info.get("progressive"):
        each += _COEFFICIENT_BYTES * len(image.getbands())
    return _BESIDE_PIXELS + each * image.width * image.height


def _rgb_over_white(image: Image.Image, name: str) -> Pixels:
    if image.mode not in _CONVERTED:
        raise UnsupportedFormatError(
            f"{name} is a picture of {_NAMED.get(image.mode, image.mode)}; stained tissue is read as red, green and blue of "
            "8 bits: export it as RGB"
        )
    pixels = np.empty(
        (image.height, image.width, 3), np.uint8
    )  # first: where it does not fit, nothing is decoded in vain
    image.load()
    # In bands: whole, Pillow's RGB and what it is copied by would take three times the memory.
    rows = max(_BAND_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        band = image.crop((0, top, image.width, bottom))
        if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
            coloured = band.convert("RGBA")
            band = Image.alpha_composite(Image.new("RGBA", coloured.size, (255, 255, 255, 255)), coloured)
        pixels[top:bottom] = np.asarray(band.convert("RGB"))
    return pixels


def _pixel_size(image: Image.Image) -> PixelSize | None:
    """Microns per px from the density tag, if it is one that a microscope writes and not 72 or 300 dpi for print."""
    density = image.info.get("dpi")
    if not density or not all(float(side) > 0 for side in density):
        return None
    return check_stated_size(*(_UM_PER_INCH / float(side) for side in density), low=_FINEST_UM, high=_COARSEST_UM)
