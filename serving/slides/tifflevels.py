"""The levels of a TIFF: pages of tiles or of low strips, and which pages are smaller sizes of the slide."""

from dataclasses import dataclass

import numpy as np
import tifffile

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.slides.directlevels import DirectLevel, read_direct_level
from serving.slides.jpegcodec import find_jpeg_codec
from serving.slides.limits import check_stored_tile
from serving.slides.ome import OmeImage
from serving.slides.samples import SampleLayout, read_layout

TILED_INSTEAD = "a tiled pyramidal TIFF of it can be made with `vips tiffsave --tile --pyramid`"
MAX_STRIP_PX = 2**22
"""Of a strip, which is decoded whole for each px of it."""


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One stored size; three pages where red, green and blue are pages of their own."""

    width: int
    height: int
    pages: tuple[tifffile.TiffPage, ...]
    tables: tuple[bytes | None, ...]
    """What JPEG tiles of each page have in common."""
    layout: SampleLayout
    jpeg: DirectLevel | None

    @property
    def tile_size(self) -> tuple[int, int]:
        """(width, height) of a tile, or of a strip."""
        return _tile_size(self.pages[0])

    @property
    def columns(self) -> int:
        """Tiles of a row."""
        return -(-self.width // self.tile_size[0])

    @property
    def tiles(self) -> int:
        """Tiles of a plane."""
        return self.columns * -(-self.height // self.tile_size[1])

    def place(self, tile: int) -> Region:
        """The part of the level that a tile shows, to the tile's full size."""
        across, down = self.tile_size
        row, column = divmod(tile, self.columns)
        return Region(column * across, row * down, across, down)


def find_reduced(
    tiff: tifffile.TiffFile, mains: tuple[tifffile.TiffPage, ...], image: OmeImage | None
) -> list[tuple[tifffile.TiffPage, ...]]:
    """Candidates for smaller levels, largest first: subordinate pages, and for plain TIFFs the other pages of the chain."""
    below = [[tifffile.TiffPage.aspage(p) for p in main.pages] if main.pages is not None else [] for main in mains]
    stacks = list(zip(*below, strict=False))
    if image is None:
        others = (tifffile.TiffPage.aspage(page) for page in tiff.pages)
        stacks += [(page,) for page in others if page.is_tiled and page.index != mains[0].index]
    return sorted(stacks, key=lambda pages: -int(pages[0].imagewidth) * int(pages[0].imagelength))


def _tile_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """(width, height) of a page's tiles, or of its strips, px."""
    if page.is_tiled:
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), min(int(page.rowsperstrip), int(page.imagelength))


def _has_low_strips(page: tifffile.TiffPage) -> bool:
    """Whether strips are so low that one can be decoded for any px of it."""
    return int(np.prod(_tile_size(page))) <= MAX_STRIP_PX


def read_level(pages: tuple[tifffile.TiffPage, ...], name: str, bits: int | None) -> TiffLevel:
    """The level that is stored in a page, or in one each of red, green and blue.

    name : of the file, for messages. bits : of a sample that hold the picture; None where the file does not say

    Raises
    ------
    UnsupportedFormatError
        If it is in high strips, or its samples are not known to become RGB rightly.
    UnreadableSlideError
        If it states no pixels, or fewer tiles than its size needs.
    """
    first = pages[0]
    if not all(min(_tile_size(page)) > 0 and (page.is_tiled or _has_low_strips(page)) for page in pages):
        raise UnsupportedFormatError(f"{name} has a level in strips and not in tiles; {TILED_INSTEAD}")
    if min(first.imagewidth, first.imagelength) < 1:
        raise UnreadableSlideError(f"{name} states a picture without pixels; copy it again from the scanner")
    layouts = [read_layout(page, significant_bits=bits) for page in pages]
    layouts[0].check(name, channels=len(pages))
    same = {(p.imagewidth, p.imagelength, *_tile_size(p)) for p in pages}
    if len(same) > 1 or len(set(layouts)) > 1:
        raise UnsupportedFormatError(
            f"{name} has red, green and blue pages that differ in size or kind; export it as RGB"
        )
    across, down = _tile_size(first)
    tiles = -(-first.imagewidth // across) * -(-first.imagelength // down)
    tiles *= layouts[0].samples if layouts[0].planar else 1
    if any(len(page.dataoffsets) < tiles or len(page.databytecounts) < tiles for page in pages):
        raise UnreadableSlideError(f"{name} lists fewer tiles than its size needs; copy it again from the scanner")
    check_stored_tile(across, down)
    tables = tuple(page.jpegtables for page in pages)
    jpeg = read_direct_level(first, find_jpeg_codec(first)) if len(pages) == 1 else None
    return TiffLevel(int(first.imagewidth), int(first.imagelength), pages, tables, layouts[0], jpeg)


def list_tiles_in(level: TiffLevel, part: Region) -> list[int]:
    """Numbers of the tiles that show a part, level px, row by row."""
    across, down = level.tile_size
    rows, columns = range(part.y // down, -(-part.bottom // down)), range(part.x // across, -(-part.right // across))
    return [row * level.columns + column for row in rows for column in columns]
