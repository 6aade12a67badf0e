"""Pixels of sub-tiles, read once where a picture fits in memory."""

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.slides.arrayslide import ArraySlide
from serving.slides.slide import Slide
from training.data.flat_tiff import FlatTiff
from training.data.pictures import open_picture
from training.data.sub_tiles import WINDOW_PX, SubTileTable

MEMORY_PX = 2**28
"""Px of decoded pictures and strips that a process keeps, 3 bytes each; whole-slide images are not decoded and count as 1 Mpx."""
_IN_FILE_PX = 2**20

_open: "OrderedDict[tuple[int, Path], Slide]" = OrderedDict()
"""Pictures by process and path, that used last at the end: a forked process must not read through its parent's files."""


def read_sub_tile(root: Path, table: SubTileTable, index: int) -> NDArray[np.uint8]:
    """Pixels of a sub-tile, uint8, shape (250, 250, 3); outside the picture is white."""
    x, y = (int(v) for v in table.origins[index])
    slide = _open_cached(root / table.pictures[table.picture[index]].path)
    return slide.read(Region(x, y, WINDOW_PX, WINDOW_PX), WINDOW_PX, WINDOW_PX)


def _open_cached(path: Path) -> Slide:
    """A picture, kept open until others need its memory."""
    key = (os.getpid(), path)
    slide = _open.get(key)
    if slide is None:
        slide = _open[key] = open_picture(path, strip_bytes=3 * MEMORY_PX)
    _open.move_to_end(key)
    while len(_open) > 1 and sum(_px(other) for other in _open.values()) > MEMORY_PX:
        _open.popitem(last=False)[1].close()
    return slide


def _px(slide: Slide) -> int:
    if isinstance(slide, FlatTiff):
        return slide.kept_bytes // 3
    return slide.width * slide.height if isinstance(slide, ArraySlide) else _IN_FILE_PX
