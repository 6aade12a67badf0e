"""Decoded tiles that are kept: neighbouring patches share a column of them."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from serving.slides.resample import Pixels

CACHE_BYTES = 32 * 2**20
"""Of the tiles of one slide."""


class DecodedTileCache:
    """The tiles that were used last, up to so many bytes, and always the newest. Several threads may use it."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self.bytes, self._most = 0, most_bytes
        self._tiles: OrderedDict[Hashable, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, key: Hashable) -> Pixels | None:
        """The tile, if it is kept."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def keep(self, key: Hashable, tile: Pixels) -> Pixels:
        """Keep a tile, and give it back."""
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self.bytes += tile.nbytes
            while self.bytes > self._most and len(self._tiles) > 1:
                self.bytes -= self._tiles.popitem(last=False)[1].nbytes
        return tile
