"""PNG and JPEG fields of view."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from serving.wsi.arrayslide import ArraySlide
from serving.wsi.errors import SlideTooLargeError, UnreadableSlideError
from serving.wsi.geometry import MPP_RANGE
from serving.wsi.resample import Pixels

MAX_IMAGE_PIXELS = 17 * 10**7
"""A picture is decoded whole, half a GB of RGB, and Pillow refuses little more. Larger ones should be tiled TIFFs."""
_UM_PER_INCH = 25_400


class ImageSlide(ArraySlide):
    """A decoded picture file; its hash is the file's."""

    def __init__(self, pixels: Pixels, *, mpp: float | None, name: str, vendor: str, sha256: str) -> None:
        super().__init__(pixels, mpp=mpp, name=name, vendor=vendor)
        self._sha256 = sha256

    @property
    def sha256(self) -> str:
        """Hash of the file's bytes."""
        return self._sha256


def open_image(path: Path, name: str) -> ImageSlide:
    """Decode a picture; transparent parts become white.

    Raises
    ------
    SlideTooLargeError
        If it has more than `MAX_IMAGE_PIXELS`.
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
                kind, mpp = image.format or "image", _mpp(image)
                pixels = _rgb_over_white(image)
    except Image.DecompressionBombError as error:
        raise SlideTooLargeError(f"{name} has too many pixels for a picture; convert it to a tiled TIFF") from error
    except UnidentifiedImageError as error:
        raise UnreadableSlideError(f"{name} is a damaged picture (its header does not parse); copy it again") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UnreadableSlideError(f"{name} is a damaged picture (its pixels do not decode); copy it again") from error
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return ImageSlide(pixels, mpp=mpp, name=name, vendor=kind.lower(), sha256=digest)


def _rgb_over_white(image: Image.Image) -> Pixels:
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        coloured = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", coloured.size, (255, 255, 255, 255)), coloured)
    return np.asarray(image.convert("RGB"))


def _mpp(image: Image.Image) -> float | None:
    """Microns per px from the density tag, if it is one that a microscope writes and not 72 or 300 dpi for print."""
    density = image.info.get("dpi")
    if not density or not float(density[0]) > 0:
        return None
    mpp = _UM_PER_INCH / float(density[0])
    return mpp if MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None
