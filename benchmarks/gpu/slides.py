"""A large slide of tissue that is written in seconds: few tiles are compressed, and all are read and decoded."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
import tifffile
from numpy.typing import NDArray

from serving.scoring.tiling import TILE_PX

Pixels = NDArray[np.uint8]

STORED_PX = 256
JPEG_QUALITY = 90
SHRINK = 4
SMALLEST_LEVEL_PX = 1024
PX_PER_CM = 40_000
"""0.25 um/px."""


def write_tissue(path: Path, *, tiles: int, block: Pixels) -> int:
    """A square pyramid that is all tissue, of at least `tiles` tiles of 1,000 px; gives how many it has.

    block : uint8, shape (h, w, 3), sides multiples of 256 * 4; it is repeated
    """
    columns = math.isqrt(tiles - 1) + 1
    # Levels that divide the slide evenly are read without OpenSlide; the last tiles are a few px narrower for it.
    size, level = columns * TILE_PX // SHRINK**3 * SHRINK**3, 0
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        while level == 0 or size > SMALLEST_LEVEL_PX:
            tiff.write(
                _encode_tiles(size, block),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(STORED_PX, STORED_PX),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=int(level > 0),
                metadata=None,
                resolution=(PX_PER_CM / SHRINK**level, PX_PER_CM / SHRINK**level),
                resolutionunit="CENTIMETER",
            )
            size, level = -(-size // SHRINK), level + 1
            block = _reduce(block)
    return columns**2


def _encode_tiles(size: int, block: Pixels) -> Iterator[bytes]:
    """The compressed tiles of a level, row by row."""
    repeats = [-(-STORED_PX // side) for side in block.shape[:2]]
    whole = np.tile(block, (*repeats, 1))
    rows, columns = (side // STORED_PX for side in whole.shape[:2])
    ready = {
        (row, column): simplejpeg.encode_jpeg(
            np.ascontiguousarray(
                whole[row * STORED_PX : (row + 1) * STORED_PX, column * STORED_PX : (column + 1) * STORED_PX]
            ),
            JPEG_QUALITY,
            colorsubsampling="420",
        )
        for row, column in itertools.product(range(rows), range(columns))
    }
    count = -(-size // STORED_PX)
    return (ready[row % rows, column % columns] for row in range(count) for column in range(count))


def _reduce(block: Pixels) -> Pixels:
    """The block as the next level shows it: means of `SHRINK` x `SHRINK` px."""
    height, width = (side // SHRINK for side in block.shape[:2])
    return np.asarray(block.reshape(height, SHRINK, width, SHRINK, 3).mean((1, 3)).round(), np.uint8)
