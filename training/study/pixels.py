"""Pixels of sub-tiles, read once where a picture fits in memory."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.wsi.geometry import Region
from serving.wsi.slide import Slide, open_slide
from training.study.sub_tiles import WINDOW_PX, SubTiles

OPEN_PICTURES = 64
"""Pictures kept open; a decoded 2,000 px field takes 12 MB."""


def read_sub_tile(root: Path, table: SubTiles, index: int) -> NDArray[np.uint8]:
    """Pixels of a sub-tile, uint8, shape (250, 250, 3); outside the picture is white."""
    x, y = (int(v) for v in table.origins[index])
    slide = _open(root / table.pictures[table.picture[index]].path)
    return slide.read(Region(x, y, WINDOW_PX, WINDOW_PX), WINDOW_PX, WINDOW_PX)


@lru_cache(maxsize=OPEN_PICTURES)
def _open(path: Path) -> Slide:
    return open_slide(path)
