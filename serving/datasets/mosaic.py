"""One picture in many files: a folder of tiles whose names state where each lies."""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from serving.core.errors import UnreadableSlideError
from serving.datasets.import_report import FormatError
from serving.slides.arrayslide import ArraySlide
from serving.slides.resample import Pixels

_NAME = re.compile(r"(?P<x>\d+)_(?P<y>\d+)\.(jpg|jpeg|png)", re.IGNORECASE)
_KEPT = 64
"""Decoded tiles that a mosaic keeps."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile's place in the picture, px, and its file."""

    x: int
    y: int
    width: int
    height: int
    path: Path

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy, px of the picture, half-open."""
        return (self.x, self.y, self.x + self.width, self.y + self.height)


def read_tiles(folder: Path) -> list[Tile]:
    """The tiles of a folder, by row and column. Their names are `<x>_<y>`, px of the upper left corner in the picture.

    Raises
    ------
    FormatError
        If there are none, or a picture in the folder is named otherwise or does not open.
    """
    tiles = []
    for path in sorted(folder.iterdir()):
        found = _NAME.fullmatch(path.name)
        if found is None:
            raise FormatError(folder, path.name, "is no tile: tiles are named <x>_<y>.jpg or .png")
        try:
            with Image.open(path) as image:
                tiles.append(Tile(int(found["x"]), int(found["y"]), *image.size, path))
        except (OSError, Image.DecompressionBombError) as error:
            raise FormatError(folder, path.name, f"does not open ({error})") from error
    if not tiles:
        raise FormatError(folder, "tiles", "there are none")
    return sorted(tiles, key=lambda tile: (tile.y, tile.x))


class MosaicSlide(ArraySlide):
    """A folder of tiles as one slide, white where no tile lies. Tiles are decoded as they are needed.

    Where tiles overlap, the one that lies farther to the right and below is shown.
    """

    def __init__(self, folder: Path, *, mpp: float | None = None) -> None:
        super().__init__(np.empty((0, 0, 3), np.uint8), mpp=mpp, name=folder.name, vendor="tiles")
        self._tiles = read_tiles(folder)
        self._decoded: OrderedDict[Path, Pixels] = OrderedDict()
        self._lock = Lock()
        self.width = max(tile.x + tile.width for tile in self._tiles)
        self.height = max(tile.y + tile.height for tile in self._tiles)

    @property
    def sha256(self) -> str:
        """Hash of the tiles' names and bytes."""
        digest = hashlib.sha256()
        for tile in self._tiles:
            digest.update(tile.path.name.encode() + b"\0" + hashlib.sha256(tile.path.read_bytes()).digest())
        return digest.hexdigest()

    def cut(self, x: int, y: int, width: int, height: int) -> Pixels:
        """See `ArraySlide.cut`."""
        result = np.full((height, width, 3), 255, np.uint8)
        for tile in self._tiles:
            left, top = max(tile.x, x), max(tile.y, y)
            right, bottom = min(tile.x + tile.width, x + width), min(tile.y + tile.height, y + height)
            if left < right and top < bottom:
                pixels = self._tile_pixels(tile)
                result[top - y : bottom - y, left - x : right - x] = pixels[
                    top - tile.y : bottom - tile.y, left - tile.x : right - tile.x
                ]
        return result

    def _tile_pixels(self, tile: Tile) -> Pixels:
        with self._lock:
            pixels = self._decoded.get(tile.path)
            if pixels is None:
                try:
                    with Image.open(tile.path) as image:
                        pixels = self._decoded[tile.path] = np.asarray(image.convert("RGB"))
                except OSError as error:
                    raise UnreadableSlideError(
                        f"{self.name}: tile {tile.path.name} cannot be read ({error})"
                    ) from error
                if len(self._decoded) > _KEPT:
                    self._decoded.popitem(last=False)
            self._decoded.move_to_end(tile.path)
            return pixels
