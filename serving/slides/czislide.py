"""Slides in CZI: tiles at any place, that may overlap, and smaller levels of them."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.core.pixelsize import PixelSize
from serving.slides.czi import CziTile, decode_tile, read_czi
from serving.slides.limits import check_size
from serving.slides.pyramid import PyramidSlide, describe_skipped, find_trusted_levels
from serving.slides.resample import Pixels
from serving.slides.tilecache import CACHE_BYTES, DecodedTileCache


def open_czi(path: Path, name: str) -> "CziSlide":
    """The slide in a CZI: of several scenes the largest.

    Raises
    ------
    UnsupportedFormatError
        If its pixels are others than tests open.
    UnreadableSlideError
        If it is damaged.
    SlideTooLargeError
        If a tile, or what all of them cover, is larger than any scanner writes.
    """
    content = read_czi(path, name)
    scenes: dict[int, list[CziTile]] = {}
    for tile in content.tiles:
        scenes.setdefault(tile.scene, []).append(tile)
    tiles = max(scenes.values(), key=lambda found: math.prod(_extent(found)[2:]))
    notes: tuple[str, ...] = ()
    if len(scenes) > 1:
        notes = (
            f"the file holds {len(scenes)} scenes, parts of the glass that were scanned as pictures of their own: the "
            "largest was read, and the others were not looked at",
        )
    if not any(tile.shrink == 1 for tile in tiles):
        raise UnreadableSlideError(f"{name} holds no tiles of its largest level; copy it again from the scanner")
    slide = CziSlide(path, name, tiles, content.size, notes)
    try:
        check_size(slide.width, slide.height)
        slide.read(Region(0, 0, min(slide.width, 64), min(slide.height, 64)), 16, 16)
    except BaseException:
        slide.close()
        raise
    return slide


class CziSlide(PyramidSlide):
    """A slide of tiles; where there are none it is white."""

    def __init__(
        self, path: Path, name: str, tiles: Sequence[CziTile], size: PixelSize | None, notes: tuple[str, ...]
    ) -> None:
        self._path, self.name, self.vendor, self.pixel_size = path, name, "zeiss", size
        self._x, self._y, self.width, self.height = _extent([tile for tile in tiles if tile.shrink == 1])
        shrinks = sorted({tile.shrink for tile in tiles})
        self._shrinks = shrinks
        self.level_sizes = [(-(-self.width // shrink), -(-self.height // shrink)) for shrink in shrinks]
        self.levels = find_trusted_levels(self.level_sizes)
        self.bounds: tuple[int, int, int, int] | None = None
        self._notes = notes
        # Those that are on top are drawn last.
        self._tiles = [sorted((t for t in tiles if t.shrink == shrink), key=lambda t: t.order) for shrink in shrinks]
        places = [[self._place(level, tile) for tile in of_level] for level, of_level in enumerate(self._tiles)]
        self._edges = [
            np.asarray([(p.x, p.y, p.right, p.bottom) for p in found], np.int64).reshape(-1, 4) for found in places
        ]
        self._file = path.open("rb", buffering=0)
        self._kept = DecodedTileCache(CACHE_BYTES)

    def __repr__(self) -> str:
        return f"CziSlide({self.name!r}, {self.width} x {self.height}, {self.pixel_size})"

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Slide.notes`."""
        return (*self._notes, *describe_skipped(self.level_sizes, self.levels))

    def close(self) -> None:
        """See `Slide.close`."""
        self._file.close()

    def _place(self, level: int, tile: CziTile) -> Region:
        shrink = self._shrinks[level]
        return Region(round((tile.x - self._x) / shrink), round((tile.y - self._y) / shrink), tile.across, tile.down)

    def _decode(self, level: int, cut: Region) -> Pixels:
        pixels = np.full((cut.height, cut.width, 3), 255, np.uint8)
        left, top, right, bottom = self._edges[level].T
        touched = (left < cut.right) & (right > cut.x) & (top < cut.bottom) & (bottom > cut.y)
        for number in np.flatnonzero(touched):
            place = self._place(level, self._tiles[level][number])
            part = place.intersection(cut)
            pixels[part.y - cut.y : part.bottom - cut.y, part.x - cut.x : part.right - cut.x] = self._tile(
                level, int(number)
            )[part.y - place.y : part.bottom - place.y, part.x - place.x : part.right - place.x]
        return pixels

    def _tile(self, level: int, number: int) -> Pixels:
        if (kept := self._kept.get((level, number))) is not None:
            return kept
        tile = self._tiles[level][number]
        try:
            pixels = decode_tile(self._file.fileno(), tile)
        except MemoryError:
            raise
        except Exception as error:  # codecs raise of all kinds
            raise UnreadableSlideError(
                f"{self.name} is damaged at level {level}, x {tile.x - self._x}, y {tile.y - self._y}; "
                "copy it again from the scanner"
            ) from error
        return self._kept.keep((level, number), pixels)


def _extent(tiles: Sequence[CziTile]) -> tuple[int, int, int, int]:
    """x, y, width and height of what tiles cover."""
    x, y = min((t.x for t in tiles), default=0), min((t.y for t in tiles), default=0)
    right, bottom = max((t.x + t.width for t in tiles), default=0), max((t.y + t.height for t in tiles), default=0)
    return x, y, right - x, bottom - y
