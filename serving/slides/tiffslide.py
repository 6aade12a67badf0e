"""TIFFs that OpenSlide does not read, or not rightly: big-endian ones, OME-TIFF, planar, 16 bits, other compressions."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.directlevels import DirectTiles
from serving.slides.directories import open_pages
from serving.slides.jpegcodec import colours_contradict
from serving.slides.ome import find_slide_image, is_ome
from serving.slides.pyramid import PyramidSlide, describe_skipped, find_trusted_levels
from serving.slides.resample import Pixels
from serving.slides.samples import read_segment
from serving.slides.tifflevels import TILED_INSTEAD, TiffLevel, find_reduced, list_tiles_in, read_level
from serving.slides.tilecache import CACHE_BYTES, DecodedTileCache

_INCH_UM, _CM_UM = 25_400.0, 10_000.0
_STATED_TAGS = (
    "ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright", "DocumentName",
)  # fmt: skip
_UNITS = {1: "none", 2: "inch", 3: "centimeter"}
"""Of the tag ResolutionUnit, in OpenSlide's words."""
_LOOKED_AT = 16
"""Tiles of the smallest level whose brightest sample tells whether the stated range is used."""


def read_resolution(page: tifffile.TiffPage) -> PixelSize | None:
    """The pixel size that a page's resolution tags state, if it is a microscope's."""
    unit = {2: _INCH_UM, 3: _CM_UM}.get(int(page.resolutionunit))
    x, y = (float(v) for v in page.resolution)
    if unit is None or not (x > 0 and y > 0):
        return None
    return check_stated_size(unit / x, unit / y)


def open_tiff(path: Path, name: str) -> "TiffSlide":
    """The slide in a tiled TIFF, through tifffile's decoders.

    Raises
    ------
    UnsupportedFormatError
        If its pages are not tiled, or their samples are not known to become RGB rightly.
    UnreadableSlideError
        If it is damaged.
    """
    tiff = open_pages(path)
    try:
        slide = _open(tiff, path, name)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, tifffile.TiffFileError) as error:
        tiff.close()
        raise UnreadableSlideError(f"{name} is a damaged TIFF; copy it again from the scanner") from error
    except BaseException:
        tiff.close()
        raise
    return slide


def _open(tiff: tifffile.TiffFile, path: Path, name: str) -> "TiffSlide":
    first = tifffile.TiffPage.aspage(tiff.pages.first)
    description = first.description
    image = find_slide_image(description, name) if is_ome(description) else None
    mains = [_aspage(tiff, number, name) for number in image.directories] if image else [_largest(tiff, name)]
    bits = None if image is None else image.significant_bits
    stacks = [tuple(mains), *(find_reduced(tiff, tuple(mains), image))]
    levels = [read_level(pages, name, bits) for pages in stacks]
    size = (image.size if image else None) or read_resolution(mains[0]) or _aperio_size(description)
    beside = image.beside if image else ()
    slide = TiffSlide(
        tiff, path, levels, size, name=name, vendor="ome-tiff" if image else "generic-tiff", beside=beside
    )
    slide.check_range()
    return slide


def _aspage(tiff: tifffile.TiffFile, number: int, name: str) -> tifffile.TiffPage:
    if not 0 <= number < len(tiff.pages):
        raise UnreadableSlideError(
            f"{name} names a page {number} that it does not have; copy it again from the scanner"
        )
    return tifffile.TiffPage.aspage(tiff.pages[number])


def _largest(tiff: tifffile.TiffFile, name: str) -> tifffile.TiffPage:
    pages = [tifffile.TiffPage.aspage(page) for page in tiff.pages]
    tiled = [page for page in pages if page.is_tiled]
    if not tiled:
        raise UnsupportedFormatError(f"{name} is a TIFF in strips and not in tiles; {TILED_INSTEAD}")
    return max(tiled, key=lambda page: int(page.imagewidth) * int(page.imagelength))


def _aperio_size(description: str) -> PixelSize | None:
    if not description.startswith("Aperio"):
        return None
    for part in description.split("|"):
        key, _, value = part.partition("=")
        if key.strip() == "MPP":
            return check_stated_size(float(value), float(value))
    return None


class TiffSlide(PyramidSlide):
    """A slide whose tiles tifffile decodes; those of plain JPEG go the way of every other slide's."""

    def __init__(
        self,
        tiff: tifffile.TiffFile,
        path: Path,
        levels: list[TiffLevel],
        size: PixelSize | None,
        *,
        name: str,
        vendor: str,
        beside: tuple[str, ...] = (),
    ) -> None:
        self._tiff, self._path, self.name, self.vendor = tiff, path, name, vendor
        self.width, self.height = levels[0].width, levels[0].height
        self.level_sizes = [(level.width, level.height) for level in levels]
        self.levels = find_trusted_levels(self.level_sizes)
        self.pixel_size = size
        self.bounds: tuple[int, int, int, int] | None = None
        self._stored, self._beside = levels, beside
        self._file = path.open("rb", buffering=0)
        self._jpeg = DirectTiles(path)
        self._kept = DecodedTileCache(CACHE_BYTES)

    def __repr__(self) -> str:
        return f"TiffSlide({self.name!r}, {self.width} x {self.height}, {self.pixel_size}, {self.vendor})"

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `Slide.notes`."""
        notes = describe_skipped(self.level_sizes, self.levels)
        if any(colours_contradict(page) for level in self._stored[:1] for page in level.pages):
            notes += ("the file states RGB, but its tiles hold YCbCr by their own header; the tiles were believed",)
        return notes

    @cached_property
    def properties(self) -> Mapping[str, str]:
        """See `Slide.properties`."""
        page = tifffile.TiffPage.aspage(self._tiff.pages.first)
        tags = {name: page.tags.valueof(name) for name in _STATED_TAGS}
        stated = {f"tiff.{name}": value for name, value in tags.items() if isinstance(value, str)}
        if "XResolution" in page.tags:
            x, y = page.resolution
            unit = _UNITS.get(int(page.resolutionunit), "none")
            stated |= {"tiff.XResolution": f"{x:g}", "tiff.YResolution": f"{y:g}", "tiff.ResolutionUnit": unit}
        return stated

    @property
    def associated_images(self) -> tuple[str, ...]:
        """See `Slide.associated_images`."""
        return self._beside

    @cached_property
    def icc_profile(self) -> bytes | None:
        """See `Slide.icc_profile`."""
        profile = self._stored[0].pages[0].iccprofile
        return profile if isinstance(profile, bytes) else None

    def check_range(self) -> None:
        """Refuse a slide that uses a small part of the range that it states: see `SampleLayout.check_range`."""
        level = self._stored[self.levels[-1]]
        if level.layout.bits > 8:
            tiles = range(level.tiles)
            tiles = tiles[:: max(len(tiles) // _LOOKED_AT, 1)]
            found = [s for tile in tiles if (s := self._samples(level, tile)) is not None]
            brightest = max((int(s[..., :3].max()) for s in found), default=level.layout.maximum)
            level.layout.check_range(brightest, self.name)

    def close(self) -> None:
        """See `Slide.close`."""
        self._jpeg.close()
        self._file.close()
        self._tiff.close()

    def _decode(self, level: int, cut: Region) -> Pixels:
        stored = self._stored[level]
        if stored.jpeg is not None:
            direct = self._jpeg.read(stored.jpeg, cut)
            if direct is not None:
                return direct
        pixels = np.full((cut.height, cut.width, 3), 255, np.uint8)
        inside = cut.intersection(Region(0, 0, stored.width, stored.height))
        for tile in list_tiles_in(stored, inside) if inside.area else ():
            place = stored.place(tile)
            part = place.intersection(inside)
            shown = self._tile(level, tile)
            pixels[part.y - cut.y : part.bottom - cut.y, part.x - cut.x : part.right - cut.x] = shown[
                part.y - place.y : part.bottom - place.y, part.x - place.x : part.right - place.x
            ]
        return pixels

    def _tile(self, level: int, tile: int) -> Pixels:
        """All px of a tile, white where the file has none."""
        if (kept := self._kept.get((level, tile))) is not None:
            return kept
        stored = self._stored[level]
        place = stored.place(tile)
        pixels = np.full((place.height, place.width, 3), 255, np.uint8)
        shown = self._visible_pixels(stored, tile)
        if shown is not None:
            pixels[: shown.shape[0], : shown.shape[1]] = shown
        return self._kept.keep((level, tile), pixels)

    def _visible_pixels(self, level: TiffLevel, tile: int) -> Pixels | None:
        """The px of a tile that lie in the slide, or more; None where the file has none."""
        if level.jpeg is None:
            samples = self._samples(level, tile)
            return None if samples is None else level.layout.to_rgb(samples)
        if not level.jpeg.counts[tile]:
            return None
        shown = self._jpeg.read(level.jpeg, level.jpeg.place(tile))
        if shown is None:
            raise self._damage_error(level, tile)
        return shown

    def _samples(self, level: TiffLevel, tile: int) -> NDArray[np.unsignedinteger] | None:
        """The samples of a tile, shape (height, width, samples), at most the tile's size; None where the file has none."""
        planes = level.layout.samples if level.layout.planar else 1
        step = level.tiles
        parts = [
            read_segment(
                self._file,
                page,
                plane * step + tile,
                tables,
                name=self.name,
                kind="tile" if page.is_tiled else "strip",
            )
            for page, tables in zip(level.pages, level.tables, strict=True)
            for plane in range(planes)
        ]
        held = [part for part in parts if part is not None]
        if len(held) < len(parts):
            return None
        joined = held[0] if len(held) == 1 else np.concatenate(held, -1)
        expected = 3 if len(level.pages) == 3 else level.layout.samples
        if joined.shape[-1] != expected or joined.dtype.kind != "u":
            raise self._damage_error(level, tile)
        return joined

    def _damage_error(self, level: TiffLevel, tile: int) -> UnreadableSlideError:
        place = level.place(tile)
        return UnreadableSlideError(
            f"{self.name} is damaged at level {self._stored.index(level)}, x {place.x}, y {place.y}; "
            "copy it again from the scanner"
        )
