"""Slides whose pixels are not square, shown with square ones: each axis is resampled to the finer of both resolutions.

Everything behind this door counts in square pixels, so areas, distances, tiles and pictures are right by one resolution. What
other programs read beside the slide's own file is taken back to the file's pixels: see `Slide.stored_scale`.
"""

from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize
from serving.slides.resample import Pixels
from serving.slides.slide import Slide
from serving.slides.wrapped import WrappedSlide

MOST_OBLONG = 4.0
"""Longer over shorter side of pixels that are resampled; line scanners stay below 2. More is an error of the file."""


def with_square_pixels(slide: Slide, size: PixelSize | None) -> Slide:
    """The slide with pixels as square as `size` allows; itself where they are square, unknown, or beyond `MOST_OBLONG`.

    size : um of the pixels of `slide`; it need not be what the file states
    """
    if size is None or size.is_square or max(size) > MOST_OBLONG * min(size):
        return slide
    return SquareSlide(slide, size)


def size_given(slide: Slide, mpp: float | tuple[float, float]) -> PixelSize:
    """The size of a slide's pixels where somebody states that of the file's: they differ if they were resampled."""
    stated = PixelSize.from_mpp(mpp)
    return PixelSize(stated.x * slide.stored_scale[0], stated.y * slide.stored_scale[1])


class SquareSlide(WrappedSlide):
    """See `Slide`; level-0 px are squares of the shorter side of the file's."""

    def __init__(self, slide: Slide, size: PixelSize) -> None:
        super().__init__(slide)
        side = min(size)
        self._scale = side / size.x, side / size.y
        self.width, self.height = (
            max(round(slide.width / self._scale[0]), 1),
            max(round(slide.height / self._scale[1]), 1),
        )
        self.pixel_size: PixelSize | None = PixelSize(side, side)
        self.stored_scale = slide.stored_scale[0] * self._scale[0], slide.stored_scale[1] * self._scale[1]
        self.bounds: tuple[int, int, int, int] | None = None
        if slide.bounds is not None:
            (x, y, width, height), (across, down) = slide.bounds, self._scale
            self.bounds = round(x / across), round(y / down), round(width / across), round(height / down)
        across, down = self.stored_scale
        self.notes = (
            *slide.notes,
            f"pixels are not square ({size}): the slide was resampled to square ones of {side:g} um, and coordinates are in "
            f"these; (x, y) is ({across:g} x, {down:g} y) in px of the file, in which GeoJSON, ASAP, HistomicsUI and DICOM exports are",
        )

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """See `Slide.level_dimensions`; each level is as if it were resampled."""
        across, down = self._scale
        below = [(max(round(w / across), 1), max(round(h / down), 1)) for w, h in self._slide.level_dimensions[1:]]
        return ((self.width, self.height), *below)

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""
        across, down = self._scale
        x, y = round(region.x * across), round(region.y * down)
        stored = Region(x, y, max(round(region.right * across) - x, 1), max(round(region.bottom * down) - y, 1))
        return self._slide.read(stored, width, height)

    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""
        shrink = min(max_side / max(self.width, self.height), 1.0)
        width, height = max(round(self.width * shrink), 1), max(round(self.height * shrink), 1)
        return self.read(Region(0, 0, self.width, self.height), width, height)
