"""Reading patches ahead of inference: bounded, in order, and gone when the consumer stops."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.scoring.plan import PlannedTile
from serving.wsi.geometry import WorkFrame
from serving.wsi.slide import Slide

READERS = 2
"""OpenSlide releases the GIL and two threads on one handle scale; more would take cores from inference."""
AHEAD = 4
"""Patches in flight, 4.7 MB each: what keeps inference fed, and all that memory ever holds."""


@dataclass(slots=True)
class ReadClock:
    """Seconds that readers worked, and that inference waited for them."""

    read_s: float = 0.0
    wait_s: float = 0.0


@contextmanager
def read_ahead(
    slide: Slide, frame: WorkFrame, tiles: Sequence[PlannedTile], clock: ReadClock
) -> Iterator[Iterator[tuple[PlannedTile, NDArray[np.uint8]]]]:
    """An iterator over (tile, pixels of its patch), read by threads that end with the context.

    A read that fails raises where its patch would have come.
    """

    def read(tile: PlannedTile) -> tuple[NDArray[np.uint8], float]:
        started = time.perf_counter()
        work = tile.patch.region
        pixels = slide.read(frame.region_to_level0(work), work.width, work.height)
        return pixels, time.perf_counter() - started

    def patches(pool: ThreadPoolExecutor) -> Iterator[tuple[PlannedTile, NDArray[np.uint8]]]:
        waiting: deque[tuple[PlannedTile, Future[tuple[NDArray[np.uint8], float]]]] = deque()
        upcoming = iter(tiles)
        while True:
            while len(waiting) < AHEAD and (tile := next(upcoming, None)) is not None:
                waiting.append((tile, pool.submit(read, tile)))
            if not waiting:
                return
            tile, future = waiting.popleft()
            started = time.perf_counter()
            pixels, seconds = future.result()
            clock.wait_s += time.perf_counter() - started
            clock.read_s += seconds
            yield tile, pixels

    pool = ThreadPoolExecutor(READERS, thread_name_prefix="slide-reader")
    try:
        yield patches(pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
