"""Whole-slide images through OpenSlide."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import openslide
from PIL import Image

from serving.wsi.companions import check_folder, check_named_files
from serving.wsi.errors import UnreadableSlideError, UnsupportedFormatError
from serving.wsi.formats import READABLE, FileKind, checked_tiff, kind_of
from serving.wsi.geometry import Region
from serving.wsi.hashing import slide_sha256
from serving.wsi.jpeglevels import JpegLevel, JpegTiles
from serving.wsi.limits import check_size
from serving.wsi.resample import Pixels, frame_around, resized

MAX_STATED_MPP = 10.0
"""Resolution tags that mean print, 72 to 2,400 dots per inch, give 353 to 10.6 um/px: no scanner, so no resolution."""

DIRECT_VENDORS = {"aperio", "generic-tiff"}
"""Formats whose levels are the directories of one TIFF, tile by tile: others overlap, pad or leave out tiles."""

MAX_DECODED_PX = 64 * 2**20
"""Decoded in one piece, 256 MB: a slide without a pyramid is read in bands where a small picture shows much of it."""


def open_with_openslide(path: Path, name: str, *, direct: bool = True) -> "OpenSlideSlide":
    """Open a slide, after its TIFF structure was checked.

    direct : whether tiles are decoded without OpenSlide where that is proven to give its pixels

    Raises
    ------
    UnsupportedFormatError
        If OpenSlide knows no such format.
    UnreadableSlideError
        If it knows the format but the file is broken.
    """
    kind = kind_of(path, name)
    jpeg_levels = checked_tiff(path, name) if kind is FileKind.TIFF else []
    path = path.resolve()  # what the caller names may be a link, what the slide names may not
    check_folder(path, name)
    file = min(path.glob("*.dcm")) if path.is_dir() else path
    try:
        vendor = openslide.OpenSlide.detect_format(str(file))
        if vendor is None:
            raise UnsupportedFormatError(
                f"{name} is a {kind.value} file that OpenSlide does not read as a slide: {READABLE}. "
                "A tiled pyramidal TIFF of it can be made with `vips tiffsave --tile --pyramid`."
            )
        check_named_files(file, vendor, name)
        handle = openslide.OpenSlide(str(file))
    except openslide.OpenSlideError as error:
        # OpenSlide's own text names paths and quotes bytes of whatever file it read: it is for the log alone.
        raise UnreadableSlideError(
            f"{name} cannot be opened: it is damaged, or some of its files are; copy it again from the scanner"
        ) from error
    slide = OpenSlideSlide(handle, path, name)
    width, height = slide.width, slide.height
    try:
        check_size(width, height)
        # A header can be right and the data absent: the first pixels must decode.
        slide.read(Region(0, 0, min(width, 64), min(height, 64)), min(width, 64), min(height, 64))
        if direct:
            slide.read_directly(jpeg_levels)
    except Exception:
        slide.close()
        raise
    return slide


class OpenSlideSlide:
    """A slide that OpenSlide opens; label and macro pictures are never touched.

    OpenSlide decodes its pixels, but for levels that were proven to give the same ones faster.
    """

    def __init__(self, handle: openslide.OpenSlide, path: Path, name: str) -> None:
        self._handle, self._path, self.name = handle, path, name
        self.width, self.height = handle.dimensions
        # Asked once: after a read that failed a handle of OpenSlide answers nothing any more.
        self.level_sizes = [(int(w), int(h)) for w, h in handle.level_dimensions]
        self._downsamples = [float(shrink) for shrink in handle.level_downsamples]
        self.vendor = str(handle.properties.get("openslide.vendor", "unknown"))
        self.mpp = _mpp(handle)
        self.bounds = _bounds(handle)
        self._tiles: JpegTiles | None = None
        self._direct: dict[int, JpegLevel] = {}

    def __repr__(self) -> str:
        return f"OpenSlideSlide({self.name!r}, {self.width} x {self.height}, mpp={self.mpp}, {self.vendor})"

    @cached_property
    def sha256(self) -> str:
        """Hash of the file; of all names and contents where the slide is several files."""
        return slide_sha256(self._path)

    @property
    def direct_levels(self) -> list[int]:
        """Levels whose tiles are decoded without OpenSlide."""
        return sorted(self._direct)

    def read_directly(self, candidates: Sequence[JpegLevel]) -> None:
        """From now on decode the tiles of those levels directly that show the same pixels as OpenSlide in every sample.

        Raises
        ------
        UnreadableSlideError
            If OpenSlide cannot read what was decoded.
        """
        if self.vendor not in DIRECT_VENDORS or not candidates:
            return
        self._tiles = JpegTiles(self._path)
        for number, size in enumerate(self.level_sizes):
            same = [level for level in candidates if (level.width, level.height) == size]
            # Between levels that do not divide evenly OpenSlide interpolates.
            even = self.width % size[0] == self.height % size[1] == 0
            if len(same) == 1 and even and self._proven(number, same[0], self._tiles):
                self._direct[number] = same[0]

    def _proven(self, number: int, level: JpegLevel, tiles: JpegTiles) -> bool:
        """Whether the first, the middle and the last stored tile look to OpenSlide as they do decoded directly."""
        stored = np.flatnonzero(level.counts)
        for tile in {int(stored[at]) for at in (0, len(stored) // 2, -1)} if len(stored) else ():
            place = level.place(tile)
            direct = tiles.read(level, place)
            if direct is None or not np.array_equal(direct, self._decode_with_openslide(number, place)):
                return False
        return len(stored) > 0

    def read(self, region: Region, width: int, height: int) -> Pixels:
        """See `Slide.read`."""
        level = self._level_for(max(region.width / width, region.height / height) * 1.01)
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
        return resized(pixels, box, width, height)

    def thumbnail(self, max_side: int) -> Pixels:
        """See `Slide.thumbnail`."""
        shrink = min(max_side / max(self.width, self.height), 1.0)
        width, height = max(round(self.width * shrink), 1), max(round(self.height * shrink), 1)
        # In bands: a slide without a pyramid would otherwise be decoded whole.
        band = max(512 * height // self.height, 1)
        pixels = np.empty((height, width, 3), np.uint8)
        for top in range(0, height, band):
            bottom = min(top + band, height)
            y, end = round(top * self.height / height), round(bottom * self.height / height)
            pixels[top:bottom] = self.read(Region(0, y, self.width, end - y), width, bottom - top)
        return pixels

    def _level_for(self, shrink: float) -> int:
        """The coarsest level that has at least the pixels which a read needs that shrinks level 0 so many times."""
        return max((level for level, down in enumerate(self._downsamples) if down <= shrink), default=0)

    def _decode(self, level: int, cut: Region) -> Pixels:
        """The pixels of `cut` (px of `level`), white outside the slide and where the file has none."""
        if self._tiles is not None and level in self._direct:
            direct = self._tiles.read(self._direct[level], cut)
            if direct is not None:
                return direct
        return self._decode_with_openslide(level, cut)

    def _decode_with_openslide(self, level: int, cut: Region) -> Pixels:
        level_width, level_height = self.level_sizes[level]
        corner = round(cut.x * (self.width / level_width)), round(cut.y * (self.height / level_height))
        try:
            image = self._handle.read_region(corner, level, (cut.width, cut.height))
        except openslide.OpenSlideError as error:
            raise UnreadableSlideError(
                f"{self.name} is damaged at level {level}, x {cut.x}, y {cut.y}; copy it again from the scanner"
            ) from error
        if image.getextrema()[3][0] == 255:
            return np.asarray(image.convert("RGB"))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))

    def close(self) -> None:
        """See `Slide.close`."""
        if self._tiles is not None:
            self._tiles.close()
        self._handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mpp(handle: openslide.OpenSlide) -> float | None:
    try:
        x, y = (float(handle.properties[f"openslide.mpp-{axis}"]) for axis in "xy")
    except (KeyError, ValueError):
        return None
    mean = (x + y) / 2
    return mean if 0 < mean < MAX_STATED_MPP else None


def _bounds(handle: openslide.OpenSlide) -> tuple[int, int, int, int] | None:
    try:
        x, y, width, height = (int(handle.properties[f"openslide.bounds-{k}"]) for k in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        return None
    return x, y, width, height
