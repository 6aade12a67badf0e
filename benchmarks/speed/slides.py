"""The slides that are measured: squares of tissue on ever more glass, and the real ones."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from serving.core.geometry import Region, Roi, WorkFrame
from serving.scoring.tiling import TILE_PX
from serving.slides.opening import open_slide

Pixels = NDArray[np.uint8]

SHRINK = 4
SMALLEST_LEVEL_PX = 1024
JPEG_QUALITY = 90
PX_PER_CM = 40_000
"""0.25 um/px."""
GLASS = 246
MODEL_MPP = 0.25
REAL_MPP = {"tcga-cr-7395-no-mpp.svs": 0.25}
"""Given to slides that state no resolution."""


@dataclass(frozen=True, slots=True)
class Case:
    """One slide to measure, and the part of it that is scored."""

    name: str
    path: Path
    side: int
    """Level-0 px of the longer side."""
    roi: Roi | None = None
    mpp: float | None = None
    """For slides that state none."""
    grows: bool = False
    """Whether it is one of those that differ in their glass alone."""


def make_generated_cases(folder: Path, sides: Sequence[int], *, tiles: int, block: Pixels) -> list[Case]:
    """Slides of each side in JPEG tiles of 256 px, and of the smallest side in tiles of 512 px too.

    tiles : how many tiles of tissue each has, rounded up to a square
    block : uint8, shape (h, w, 3), tissue that is repeated
    """
    layouts = [(side, 256) for side in sides] + [(min(sides), 512)]
    cases = []
    for side, stored in layouts:
        path = folder / f"generated-{side}-jpeg{stored}.tif"
        write_slide(path, side=side, stored_px=stored, tiles=tiles, block=block)
        cases.append(Case(path.name, path, side, grows=stored == 256))
    return cases


def find_real_cases(data: Path, *, tiles: int) -> list[Case]:
    """The real slides in `data`/slides that can be opened, each with a square of `tiles` tiles in its middle."""
    cases = []
    for path in sorted((data / "slides").glob("*.[st][vi]*")):
        if path.name.endswith(".ome.tif"):
            continue
        with open_slide(path) as slide:
            mpp = slide.mpp or REAL_MPP[path.name]
            scale = WorkFrame.from_mpp(mpp, MODEL_MPP).scale
            square = _middle(round(slide.width / scale), round(slide.height / scale), tiles)
            x, y, right, bottom = (v * scale for v in (square.x, square.y, square.right, square.bottom))
            roi = Roi(((x, y), (right, y), (right, bottom), (x, bottom)))
            given = REAL_MPP[path.name] if slide.mpp is None else None
            cases.append(Case(path.name, path, max(slide.width, slide.height), roi, given))
    return cases


def write_slide(path: Path, *, side: int, stored_px: int, tiles: int, block: Pixels) -> None:
    """A square pyramid of glass with a square of tissue in its middle, aligned to the grid of tiles.

    A tile of glass is compressed once and written over and over, so 100,000 px a side take seconds.
    """
    square = _middle(side, side, tiles)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        level, shrink = 0, 1
        while level == 0 or side // (shrink // SHRINK) > SMALLEST_LEVEL_PX:
            size = -(-side // shrink)
            tiff.write(
                _encode_tiles(size, stored_px, _shrunk(square, shrink), _reduce(block, shrink)),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(stored_px, stored_px),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=int(level > 0),
                metadata=None,
                resolution=(PX_PER_CM / shrink, PX_PER_CM / shrink),
                resolutionunit="CENTIMETER",
            )
            level, shrink = level + 1, shrink * SHRINK


def _middle(width: int, height: int, tiles: int) -> Region:
    """A square of whole tiles in the middle of so many px, as large as `tiles` asks and the slide has."""
    columns, rows = (max(min(math.isqrt(tiles - 1) + 1, n // TILE_PX), 1) for n in (width, height))
    x, y = (max(n // TILE_PX - k, 0) // 2 * TILE_PX for n, k in ((width, columns), (height, rows)))
    return Region(x, y, columns * TILE_PX, rows * TILE_PX)


def _encode_tiles(size: int, stored_px: int, square: Region, block: Pixels) -> Iterator[bytes]:
    """The compressed tiles of a level, row by row."""
    glass = np.full((stored_px, stored_px, 3), GLASS, np.uint8)
    empty = _jpeg(glass)
    for y in range(0, size, stored_px):
        for x in range(0, size, stored_px):
            shown = square.intersection(Region(x, y, stored_px, stored_px))
            if not shown.area:
                yield empty
                continue
            tile = glass.copy()
            rows = np.arange(shown.y - square.y, shown.bottom - square.y) % block.shape[0]
            columns = np.arange(shown.x - square.x, shown.right - square.x) % block.shape[1]
            tile[shown.y - y : shown.bottom - y, shown.x - x : shown.right - x] = block[np.ix_(rows, columns)]
            yield _jpeg(tile)


def _jpeg(tile: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg_encode(tile, level=JPEG_QUALITY))


def _shrunk(square: Region, shrink: int) -> Region:
    return Region(square.x // shrink, square.y // shrink, square.width // shrink, square.height // shrink)


def _reduce(block: Pixels, shrink: int) -> Pixels:
    """The block as a coarser level shows it: means of `shrink` x `shrink` px."""
    height, width = (n // shrink * shrink for n in block.shape[:2])
    cut = block[:height, :width].reshape(height // shrink, shrink, width // shrink, shrink, 3)
    return np.asarray(cut.mean((1, 3)).round(), np.uint8)
