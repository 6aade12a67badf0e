"""Slides that are looked at stay open for a while: opening one takes longer than reading a tile of it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from serving.isolation.slide import IsolatedSlide
from serving.store.slides import SlideStore

KEPT = 4
"""Slides open at once, each in a process of its own; those in use are never closed, however many they are."""
IDLE_S = 60.0
"""A slide that nobody has read for so long is closed, so that a deleted one leaves the disk soon."""


NAMELESS = "the slide"
"""What errors call a slide: its file has another name for each of its owners."""


class OpenSlides:
    """Opens the slides of `store` once for many reads, from any thread."""

    def __init__(self, store: SlideStore, *, kept: int = KEPT, idle_s: float = IDLE_S) -> None:
        self._store, self._limit, self._idle_s = store, kept, idle_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def using(self, sha256: str) -> Iterator[IsolatedSlide]:
        """The slide, open until the block ends and mostly longer; errors do not name it, since several owners may look at it.

        Raises
        ------
        MitoserveError
            What `SlideStore.open` raises.
        """
        with self._lock:
            if self._closed:
                raise ValueError("slides are not opened any more")
            entry = self._entries.setdefault(sha256, _Entry())
            self._entries.move_to_end(sha256)
            entry.users += 1
        try:
            with entry.opening:
                if entry.slide is None:
                    entry.slide = self._store.open(sha256, name=NAMELESS)
            yield entry.slide
        finally:
            with self._lock:
                entry.users -= 1
                entry.used_at = time.monotonic()
                gone = self._take_out(0 if self._closed else self._limit)
                if self._timer is None and self._entries and not self._closed:
                    self._set_timer()
            _close(gone)

    def close_unused(self) -> None:
        """Close slides that nobody reads at the moment: somebody else needs the memory."""
        with self._lock:
            gone = self._take_out(0)
        _close(gone)

    def close(self) -> None:
        """Close all slides; those in use when their reads end."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            gone = self._take_out(0)
        _close(gone)

    def _take_out(self, limit: int, *, unused_since: float = float("inf")) -> list["_Entry"]:
        """Take out, longest unused first, what is beyond `limit` or did not open, and give it to be closed."""
        idle = [sha256 for sha256, entry in self._entries.items() if not entry.users and entry.used_at < unused_since]
        beyond = len(self._entries) - limit
        chosen = [sha256 for n, sha256 in enumerate(idle) if n < beyond or self._entries[sha256].slide is None]
        return [self._entries.pop(sha256) for sha256 in chosen]

    def _set_timer(self) -> None:
        self._timer = threading.Timer(self._idle_s, self._close_idle)
        self._timer.daemon = True
        self._timer.start()

    def _close_idle(self) -> None:
        with self._lock:
            self._timer = None
            gone = self._take_out(0, unused_since=time.monotonic() - self._idle_s)
            if self._entries and not self._closed:
                self._set_timer()
        _close(gone)


class _Entry:
    """One slide, or the place of one that is being opened."""

    def __init__(self) -> None:
        self.slide: IsolatedSlide | None = None
        self.opening = threading.Lock()
        self.users = 0
        self.used_at = 0.0


def _close(entries: list[_Entry]) -> None:
    for entry in entries:
        if entry.slide is not None:
            entry.slide.close()
