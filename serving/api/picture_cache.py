"""Encoded pictures that were asked for lately, up to a number of bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

MAX_BYTES = 128 * 2**20
"""Two thousand tiles of 64 KB: what a few people look at in a few minutes."""


class PictureCache:
    """Bytes by key; what was not asked for longest goes first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.size = 0

    def get(self, key: Hashable) -> bytes | None:
        """The picture; None where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, content: bytes) -> None:
        """Keep a picture; one that is larger than all together may be is not kept."""
        if len(content) > self._max_bytes:
            return
        with self._lock:
            self.size += len(content) - len(self._kept.pop(key, b""))
            self._kept[key] = content
            while self.size > self._max_bytes:
                self.size -= len(self._kept.popitem(last=False)[1])
