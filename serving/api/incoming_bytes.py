"""Slides on their way to this server: what each owner sends at the moment counts beside what it has."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from serving.store.errors import QuotaError

Write = Callable[[bytes], None]


class IncomingBytes:
    """Bytes of slides that are on their way to this server, by owner: together they may not pass what the owner may keep."""

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def counting(self, owner: str, left: int | None) -> Iterator[Callable[[Write], Write]]:
        """What counts the bytes of one slide as they are written, until the block ends.

        left : bytes that the owner may keep beside what it has; None for any number
        """
        mine = 0

        def counted(write: Write) -> Write:
            def written(data: bytes) -> None:
                nonlocal mine
                with self._lock:
                    self._bytes[owner] += len(data)
                    mine += len(data)
                    beyond = left is not None and self._bytes[owner] > left
                if beyond:
                    raise QuotaError(
                        "your slides, and what you send at the moment, take more bytes than you may keep here"
                    )
                write(data)

            return written

        try:
            yield counted
        finally:
            with self._lock:
                self._bytes[owner] -= mine
                if not self._bytes[owner]:
                    del self._bytes[owner]
