"""ICC profiles of slides: what they are called, and pixels in sRGB where somebody asks for them."""

import hashlib
import io
import struct
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageCms

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.resample import Pixels
from serving.slides.slide import Slide
from serving.slides.wrapped import WrappedSlide

_HEADER_BYTES = 128
_MAX_TAGS = 1000
_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """What a profile is called by its own description, its SHA-256, and its bytes."""

    name: str
    sha256: str
    size: int


def describe_profile(profile: bytes) -> ProfileFacts:
    """What is recorded of a profile; nothing is computed with it, and a damaged one has an empty name."""
    try:
        name = _description(profile)
    except (struct.error, ValueError):
        name = ""
    printable = "".join(letter for letter in name if letter.isprintable())[:_NAME_LENGTH]
    return ProfileFacts(printable.strip(), hashlib.sha256(profile).hexdigest(), len(profile))


def _description(profile: bytes) -> str:
    """The tag `desc`: ASCII in version 2, UTF-16 of some languages in version 4 (ICC.1:2022, 10.15; ICC.1:2001, 6.5.17)."""
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    for number in range(min(count, _MAX_TAGS)):
        tag, offset, size = struct.unpack_from(">4sII", profile, _HEADER_BYTES + 4 + 12 * number)
        if tag != b"desc":
            continue
        held = profile[offset : offset + size]
        if held.startswith(b"desc"):
            (length,) = struct.unpack_from(">I", held, 8)
            return held[12 : 12 + length].rstrip(b"\0").decode("ascii", "replace")
        if held.startswith(b"mluc"):
            length, start = struct.unpack_from(">II", held, 20)
            return held[start : start + length].decode("utf-16-be", "replace")
    return ""


def with_srgb(slide: Slide) -> Slide:
    """The slide with its pixels in sRGB, by the profile of its file; of one without a profile as they are stored, with a note."""
    managed = getattr(slide, "managed", None)
    found: Slide = managed() if managed is not None else ConvertedSlide(slide)
    return found


class SrgbSlide(WrappedSlide):
    """What is the same of a slide whose pixels are in sRGB. See `Slide`."""

    def __init__(self, slide: Slide) -> None:
        super().__init__(slide)
        self.width, self.height = slide.width, slide.height
        self.pixel_size, self.bounds, self.stored_scale = slide.pixel_size, slide.bounds, slide.stored_scale

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `Slide.notes`."""
        if self._slide.icc_profile is not None:
            return self._slide.notes
        return (
            *self._slide.notes,
            "sRGB was asked for, and the file states no ICC profile: its colours were used as they are stored",
        )

    @abstractmethod
    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""

    @abstractmethod
    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""


class ConvertedSlide(SrgbSlide):
    """A slide whose pixels are converted here, after they were resampled, by LittleCMS with perceptual intent."""

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""
        return self._convert(self._slide.read(region, width, height))

    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""
        return self._convert(self._slide.thumbnail(max_side))

    def _convert(self, pixels: Pixels) -> Pixels:
        if self._transform is None:
            return pixels
        shown = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels)), self._transform)
        if shown is None:
            raise UnreadableSlideError(f"{self.name} has pixels that its ICC profile does not convert")
        return np.asarray(shown)

    @cached_property
    def _transform(self) -> ImageCms.ImageCmsTransform | None:
        profile = self._slide.icc_profile
        if profile is None:
            return None
        # The header says what of colours a profile is for (ICC.1:2022, 7.2.6).
        if profile[16:20] != b"RGB ":
            raise UnsupportedFormatError(
                f"{self.name} has an ICC profile that is damaged or not of red, green and blue; score it with its colours as they "
                "are stored (colours=stored)"
            )
        try:
            return ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent.PERCEPTUAL,
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            raise UnsupportedFormatError(
                f"{self.name} has an ICC profile that is damaged; score it with its colours as they are stored (colours=stored)"
            ) from error
