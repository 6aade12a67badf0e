"""A plain array with a slide's interface."""

import hashlib

from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize
from serving.slides.resample import Pixels, cut_padded, frame_around, resize
from serving.slides.slide import SlideBase


class ArraySlide(SlideBase):
    """A picture in memory: fields of view, and tests that need exact pixels.

    pixels : uint8, shape (height, width, 3), RGB
    mpp : microns per px, of both axes or of each; None if unknown
    """

    def __init__(
        self, pixels: Pixels, *, mpp: float | tuple[float, float] | None, name: str = "array", vendor: str = "array"
    ) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]
        self.pixel_size = None if mpp is None else PixelSize.from_mpp(mpp)
        self.name, self.vendor = name, vendor
        self.stored_scale = (1.0, 1.0)
        self.notes: tuple[str, ...] = ()
        self.bounds: tuple[int, int, int, int] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.width} x {self.height}, {self.pixel_size})"

    @property
    def sha256(self) -> str:
        """Hash of shape and pixels."""
        return hashlib.sha256(repr(self._pixels.shape).encode() + self._pixels.tobytes()).hexdigest()

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""
        if (region.width, region.height) == (width, height):
            return self.cut(region.x, region.y, width, height)
        x, across = frame_around(region.x, region.width, self.width)
        y, down = frame_around(region.y, region.height, self.height)
        box = (region.x - x, region.y - y, region.right - x, region.bottom - y)
        return resize(self.cut(x, y, across, down), box, width, height)

    def cut(self, x: int, y: int, width: int, height: int) -> Pixels:
        """The rectangle at (x, y), uint8, shape (height, width, 3); white where it reaches outside."""
        return cut_padded(self._pixels, x, y, width, height)

    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""
        shrink = min(max_side / max(self.width, self.height), 1.0)
        size = max(round(self.width * shrink), 1), max(round(self.height * shrink), 1)
        return resize(self.cut(0, 0, self.width, self.height), (0, 0, self.width, self.height), *size)

    def close(self) -> None:
        """Nothing to release."""
