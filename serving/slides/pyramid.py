"""Slides that are stored several times, each time smaller: which of these levels are the slide, and reads from them."""

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np

from serving.core.geometry import Region
from serving.slides.hashing import slide_sha256
from serving.slides.resample import Pixels, frame_around, resize
from serving.slides.slide import SlideBase

MAX_DECODED_PX = 64 * 2**20
"""Decoded in one piece, 256 MB: a slide without a pyramid is read in bands where a small picture shows much of it."""
BAND_PX = 512
"""Rows of level 0 that are decoded in one piece for a small picture."""
BANDS_AT_ONCE = 2
"""Decoded by a thread each: while there is no small picture, a processor has nothing else to do."""
BANDS_DECODED_PX = 16 * 2**20
"""Of bands that are decoded at once, 64 MB; larger ones are decoded one by one."""
_ROUNDING_PX = 1
"""A level's sides are those of level 0 divided and rounded up or down."""
_ENLARGED = 1.01
"""Times that a level may be enlarged: its sides are rounded."""
_PADDING = 0.01
"""Of a side: some writers pad levels to whole tiles."""

Size = tuple[int, int]
"""(width, height), px."""


def find_trusted_levels(sizes: Sequence[Size]) -> list[int]:
    """The levels that can show the slide: level 0, and what has its shape and is smaller than the one before.

    A page that a file marks as a reduced picture may be its macro picture, which has another shape.
    """
    kept = [0]
    for number, (width, height) in enumerate(sizes[1:], 1):
        before = sizes[kept[-1]]
        smaller = width <= before[0] and height <= before[1] and (width, height) != before
        if smaller and width > 0 and height > 0 and have_same_shape(sizes[0], (width, height)):
            kept.append(number)
    return kept


def have_same_shape(level0: Size, level: Size) -> bool:
    """Whether one factor takes both sides of `level0` to those of `level`, but for rounding and padding."""
    ranges = [
        (whole / (part + _ROUNDING_PX) * (1 - _PADDING), whole / max(part - _ROUNDING_PX, 0.5) * (1 + _PADDING))
        for whole, part in zip(level0, level, strict=True)
    ]
    return max(low for low, _ in ranges) <= min(high for _, high in ranges)


class PyramidSlide(SlideBase):
    """Reads at any scale from levels that a subclass decodes.

    `level_sizes` has the (width, height) of every stored level, level 0 first; `levels` says which of them are read.
    """

    width: int
    height: int
    level_sizes: list[Size]
    levels: list[int]
    stored_scale = (1.0, 1.0)
    _path: Path

    @cached_property
    def sha256(self) -> str:
        """Id of the slide: see `slide_sha256`."""
        return slide_sha256(self._path)

    @property
    def level_dimensions(self) -> tuple[Size, ...]:
        """See `Slide.level_dimensions`."""
        return tuple(self.level_sizes[level] for level in self.levels)

    @abstractmethod
    def _decode(self, level: int, cut: Region) -> Pixels:
        """The pixels of `cut` (px of `level`), white outside the slide and where the file has none."""

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""
        level = self._level_for(region.width / width, region.height / height)
        level_width, level_height = self.level_sizes[level]
        shrink_x, shrink_y = self.width / level_width, self.height / level_height
        if level == 0 and (region.width, region.height) == (width, height):
            return self._decode(0, region)
        x, across = frame_around(region.x / shrink_x, region.width / shrink_x, level_width)
        y, down = frame_around(region.y / shrink_y, region.height / shrink_y, level_height)
        if across * down > MAX_DECODED_PX and height > 1:
            upper = height // 2
            split = region.y + round(region.height * upper / height)
            above = Region(region.x, region.y, region.width, split - region.y)
            below = Region(region.x, split, region.width, region.bottom - split)
            return np.concatenate([self.read(above, width, upper), self.read(below, width, height - upper)])
        pixels = self._decode(level, Region(x, y, across, down))
        left, top = region.x / shrink_x - x, region.y / shrink_y - y
        box = (left, top, left + region.width / shrink_x, top + region.height / shrink_y)
        return resize(pixels, box, width, height)

    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""
        shrink = min(max_side / max(self.width, self.height), 1.0)
        width, height = max(round(self.width * shrink), 1), max(round(self.height * shrink), 1)
        # In bands: a slide without a pyramid would otherwise be decoded whole.
        band = max(BAND_PX * height // self.height, 1)
        pixels = np.empty((height, width, 3), np.uint8)

        def read_band(top: int) -> None:
            bottom = min(top + band, height)
            y, end = round(top * self.height / height), round(bottom * self.height / height)
            pixels[top:bottom] = self.read(Region(0, y, self.width, end - y), width, bottom - top)

        level_width, level_height = self.level_sizes[self._level_for(self.width / width, self.height / height)]
        decoded_px = level_width * band * level_height / height
        at_once = int(min(max(BANDS_DECODED_PX // decoded_px, 1), BANDS_AT_ONCE))
        with ThreadPoolExecutor(at_once, thread_name_prefix="bands") as pool:
            for _ in pool.map(read_band, range(0, height, band)):  # raises what a band raises, and begins no other
                pass
        return pixels

    def _level_for(self, shrink_x: float, shrink_y: float) -> int:
        """The coarsest level that has at least the pixels which a read needs that shrinks level 0 so many times."""
        fitting = [
            level
            for level in self.levels
            if self.width / self.level_sizes[level][0] <= shrink_x * _ENLARGED
            and self.height / self.level_sizes[level][1] <= shrink_y * _ENLARGED
        ]
        return max(fitting, default=0)


def describe_skipped(sizes: list[tuple[int, int]], levels: list[int]) -> tuple[str, ...]:
    """A sentence for each stored picture that is no level of the slide."""
    return tuple(
        f"the file has a picture of {width} x {height} px that is not the slide at a smaller size; it was left aside"
        for number, (width, height) in enumerate(sizes)
        if number not in levels and not have_same_shape(sizes[0], (width, height))
    )
