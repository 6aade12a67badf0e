"""The px in which a client counts on a slide: the slide's own, or those of a report for which `mpp` made other pixels square."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Query

from serving.core.errors import RequestError
from serving.core.geometry import Region
from serving.slides.resample import Pixels
from serving.slides.slide import Slide
from serving.store.slide_rows import StoredSlide

MOST_STRETCHED = 16
"""Times that a side may be longer or shorter than the slide's: pixels are at most four times as long as wide, as the file has
it and as somebody states it."""

FrameQuery = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,9},[0-9]{1,9}$",
        max_length=19,
        description="Width and height of the slide in the px that you count in, where a report's differ from the slide's: the "
        "slide is stretched to them.",
    ),
]


class RegionSource(Protocol):
    """What has regions of pixels."""

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A slide as `width` x `height` px."""

    width: int
    height: int
    name: str
    """Tells pictures in this frame from others of the slide; empty for its own."""

    def wrap(self, slide: Slide) -> RegionSource:
        """The slide, read in this frame's px."""
        return StretchedSlide(slide, self) if self.name else slide


class StretchedSlide:
    """Reads a slide in the px of a frame."""

    def __init__(self, slide: Slide, frame: Frame) -> None:
        self._slide = slide
        self._across, self._down = slide.width / frame.width, slide.height / frame.height

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`; region : px of the frame."""
        x, y = round(region.x * self._across), round(region.y * self._down)
        right, bottom = round(region.right * self._across), round(region.bottom * self._down)
        return self._slide.read(Region(x, y, max(right - x, 1), max(bottom - y, 1)), width, height)


def parse_frame(slide: StoredSlide, asked: str | None) -> Frame:
    """The frame that a request asks for, by default the slide's own.

    Raises
    ------
    RequestError
        If it is none of this slide.
    """
    width, height = (slide.width, slide.height) if asked is None else map(int, asked.split(","))
    for stated, own in ((width, slide.width), (height, slide.height)):
        if not own <= stated * MOST_STRETCHED or not stated <= own * MOST_STRETCHED:
            raise RequestError("frame: give the width and height of slide in a report of this slide, such as 4000,2000")
    return Frame(width, height, "" if (width, height) == (slide.width, slide.height) else f"{width},{height}/")
