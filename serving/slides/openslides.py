"""Whole-slide images through OpenSlide."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.companions import check_folder, check_named_files
from serving.slides.dicomlevels import check_levels
from serving.slides.directlevels import DirectLevel, DirectTiles
from serving.slides.directories import check_directories, is_large_ndpi
from serving.slides.formats import TiffContent, has_directory
from serving.slides.limits import check_size
from serving.slides.pyramid import PyramidSlide, describe_skipped, find_trusted_levels
from serving.slides.readers.reader import SLIDE_READERS
from serving.slides.resample import Pixels
from serving.slides.samples import UPRIGHT
from serving.slides.slidefiles import slide_files
from serving.slides.tifflevels import TILED_INSTEAD

DIRECT_VENDORS = {"aperio", "generic-tiff"}
"""Formats whose levels are the directories of one TIFF, tile by tile: others overlap, pad or leave out tiles."""

_ROUNDING_PX = 4
"""By which what OpenSlide shows of a smaller level may lie elsewhere than asked."""
GENERIC = "generic-tiff"
"""OpenSlide's name for tiled TIFFs that no scanner's software signed."""
JPEG2000_OF_SCANNERS = ("APERIO_JP2000_YCBC", "APERIO_JP2000_RGB")


def is_for_openslide(path: Path, content: TiffContent) -> bool:
    """Whether OpenSlide reads a TIFF, and reads it as it is meant: a scanner's, or a plain one in its byte order."""
    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor == GENERIC:
        return content.is_plain
    return vendor is not None or not content.is_tiled


def open_with_openslide(
    path: Path, name: str, *, content: TiffContent | None = None, dicom: bool = False, direct: bool = True
) -> "OpenSlideSlide":
    """Open a slide.

    content : of a TIFF, which `check_tiff` has checked; None of all other kinds
    dicom : whether it is DICOM
    direct : whether tiles are decoded without OpenSlide where that is proven to give its pixels

    Raises
    ------
    UnsupportedFormatError
        If OpenSlide knows no such format, or its samples are not 8-bit colours.
    UnreadableSlideError
        If it knows the format but the file is broken.
    """
    if path.is_symlink():  # what the caller names may be a link, what the slide names may not
        path = path.resolve()
    check_folder(path, name)
    files = slide_files(
        path, name
    )  # says what is missing, or of which kind a DICOM file is, where OpenSlide finds no slide
    if dicom:
        if has_directory(path):  # it is a TIFF too, whose directories OpenSlide parses, and not one of old
            check_directories(path, name)
        check_levels(files.paths, name)
    try:
        vendor = openslide.OpenSlide.detect_format(str(path))
        if vendor is None:
            raise UnsupportedFormatError(
                f"{name} is a TIFF in strips and not in tiles; {TILED_INSTEAD}"
                if content is not None
                else f"{name} is not the slide that it begins as: {SLIDE_READERS.describe_formats()}"
            )
        # Else what one kind is checked for would be passed by.
        if (vendor == "dicom") != dicom or (is_large_ndpi(path) and vendor != "hamamatsu"):
            raise UnreadableSlideError(
                f"{name} is damaged: it is not the slide that it begins as; copy it again from the scanner"
            )
        check_named_files(path, vendor, name)
        handle = openslide.OpenSlide(str(path))
    except openslide.OpenSlideError as error:
        # OpenSlide's own text names paths and quotes bytes of whatever file it read: it is for the log alone.
        raise UnreadableSlideError(
            f"{name} cannot be opened: it is damaged, or some of its files are; copy it again from the scanner"
        ) from error
    slide = OpenSlideSlide(handle, path, name)
    width, height = slide.width, slide.height
    try:
        slide.check_levels()
        check_size(width, height)
        if content is not None:
            slide.check_pages(content)
            if direct:
                slide.read_directly(content.direct_levels)
        # A header can be right and the data absent: the first pixels must decode.
        slide.read(Region(0, 0, min(width, 64), min(height, 64)), min(width, 64), min(height, 64))
    except Exception:
        slide.close()
        raise
    return slide


class OpenSlideSlide(PyramidSlide):
    """A slide that OpenSlide opens; label and macro pictures are never touched.

    OpenSlide decodes its pixels, but for levels that were proven to give the same ones faster.
    """

    def __init__(self, handle: openslide.OpenSlide, path: Path, name: str) -> None:
        self._handle, self._path, self.name = handle, path, name
        self.width, self.height = handle.dimensions
        # Asked once: after a read that failed a handle of OpenSlide answers nothing any more.
        self.level_sizes = [(int(w), int(h)) for w, h in handle.level_dimensions]
        self.levels = find_trusted_levels(self.level_sizes)
        self._properties = {str(key): str(value) for key, value in handle.properties.items()}
        self._associated_images = tuple(str(name) for name in handle.associated_images)
        self.vendor = self._properties.get("openslide.vendor", "unknown")
        self.pixel_size = _pixel_size(handle)
        self.bounds = _bounds(handle)
        self._tiles: DirectTiles | None = None
        self._stored: dict[int, list[DirectLevel]] = {}
        self._direct: dict[int, DirectLevel] = {}

    def __repr__(self) -> str:
        return f"OpenSlideSlide({self.name!r}, {self.width} x {self.height}, {self.pixel_size}, {self.vendor})"

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Slide.notes`."""
        return describe_skipped(self.level_sizes, self.levels)

    @property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`."""
        return self._properties

    @property
    def associated_images(self) -> tuple[str, ...]:
        """See `Slide.associated_images`."""
        return self._associated_images

    @cached_property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`; raises `UnreadableSlideError` after a read that failed."""
        try:
            # OpenSlide for Python gives the profile's bytes with what it reads, and nowhere else.
            read = self._handle.read_region((0, 0), self.levels[-1], (1, 1))
        except openslide.OpenSlideError as error:
            raise UnreadableSlideError(f"{self.name} is damaged; copy it again from the scanner") from error
        profile: bytes | None = read.info.get("icc_profile")
        return profile

    @property
    def direct_levels(self) -> list[int]:
        """Levels whose tiles are decoded without OpenSlide."""
        return sorted(self._direct)

    def check_levels(self) -> None:
        """Refuse a slide of which a level is larger than level 0: resolution and coordinates would belong to the smaller one.

        Raises
        ------
        UnsupportedFormatError
            If so.
        """
        for width, height in self.level_sizes[1:]:
            if width > self.width or height > self.height:
                raise UnsupportedFormatError(
                    f"{self.name} has a level of {width} x {height} px above level 0 of {self.width} x {self.height} px; "
                    "write it again with the largest level first, for example with `vips tiffsave --tile --pyramid`"
                )

    def check_pages(self, content: TiffContent) -> None:
        """Hold against the TIFF's own pages what OpenSlide says of them.

        Samples must be 8-bit colours, and the resolution that of the page of level 0.

        Raises
        ------
        UnsupportedFormatError
            If a level's samples are others.
        """
        shown = [page for page in content.pages if (page.width, page.height) in self.level_sizes]
        for page in shown:
            layout = page.layout
            if layout.is_plain or (
                layout.compression in JPEG2000_OF_SCANNERS
                and (layout.samples, layout.bits, layout.orientation) == (3, 8, UPRIGHT)
            ):
                continue
            layout.check(self.name)
            raise UnsupportedFormatError(
                f"{self.name} holds {layout.samples} samples of {layout.bits} bits a pixel ({layout.photometric}) "
                f"in a {self.vendor} slide; export it as RGB of 8 bits, for example with `vips tiffsave --tile --pyramid`"
            )
        first = next((page for page in shown if (page.width, page.height) == (self.width, self.height)), None)
        if self.vendor == GENERIC:
            self.pixel_size = None if first is None else first.size
        elif self.vendor in DIRECT_VENDORS and first is not content.pages[0]:
            self.pixel_size = None

    def read_directly(self, candidates: Sequence[DirectLevel]) -> None:
        """From now on decode the tiles of those levels directly that show the same pixels as OpenSlide in every sample.

        Of the others, too, OpenSlide is not asked for tiles that are not sound.

        Raises
        ------
        UnreadableSlideError
            If OpenSlide cannot read what was decoded.
        """
        if self.vendor not in DIRECT_VENDORS or not candidates:
            return
        self._tiles = DirectTiles(self._path)
        for number, size in enumerate(self.level_sizes):
            same = [level for level in candidates if (level.width, level.height) == size]
            self._stored[number] = same
            # Between levels that do not divide evenly OpenSlide interpolates.
            even = self.width % size[0] == self.height % size[1] == 0
            if len(same) == 1 and even and self._proven(number, same[0], self._tiles):
                self._direct[number] = same[0]

    def _proven(self, number: int, level: DirectLevel, tiles: DirectTiles) -> bool:
        """Whether the first, the middle and the last stored tile look to OpenSlide as they do decoded directly."""
        stored = np.flatnonzero(level.counts)
        for tile in {int(stored[at]) for at in (0, len(stored) // 2, -1)} if len(stored) else ():
            place = level.place(tile)
            direct = tiles.read(level, place)
            if direct is None or not np.array_equal(direct, self._decode_with_openslide(number, place)):
                return False
        return len(stored) > 0

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
        damage = f"{self.name} is damaged at level {level}, x {cut.x}, y {cut.y}; copy it again from the scanner"
        # OpenSlide finds the place on a smaller level by one factor for both sides.
        off = _ROUNDING_PX if level else 0
        shown = Region(cut.x - off, cut.y - off, cut.width + 2 * off, cut.height + 2 * off)
        if self._tiles is not None:
            for stored in self._stored.get(level, ()):
                if not self._tiles.are_sound(stored, shown):
                    raise UnreadableSlideError(damage)
        try:
            image = self._handle.read_region(corner, level, (cut.width, cut.height))
        except openslide.OpenSlideError as error:
            raise UnreadableSlideError(damage) from error
        if image.getextrema()[3][0] == 255:
            return np.asarray(image.convert("RGB"))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))

    def close(self) -> None:
        """See `Slide.close`."""
        if self._tiles is not None:
            self._tiles.close()
        self._handle.close()


def _pixel_size(handle: openslide.OpenSlide) -> PixelSize | None:
    try:
        return check_stated_size(*(float(handle.properties[f"openslide.mpp-{axis}"]) for axis in "xy"))
    except (KeyError, ValueError):
        return None


def _bounds(handle: openslide.OpenSlide) -> tuple[int, int, int, int] | None:
    try:
        x, y, width, height = (int(handle.properties[f"openslide.bounds-{k}"]) for k in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        return None
    return x, y, width, height
