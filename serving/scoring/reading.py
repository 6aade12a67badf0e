"""Reading patches ahead of inference: bounded, in order, and gone when the consumer stops."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region, WorkFrame
from serving.scoring.batch_sizes import AHEAD, READERS
from serving.scoring.plan import PlannedTile
from serving.slides.slide import Slide

_T = TypeVar("_T")


@dataclass(slots=True)
class ReadClock:
    """Seconds that readers worked, and that inference waited for them."""

    read_s: float = 0.0
    wait_s: float = 0.0


def read_mirrored(slide: Slide, frame: WorkFrame, work: Region) -> NDArray[np.uint8]:
    """RGB of a work region, uint8, shape (height, width, 3); beyond the slide's border its pixels are mirrored.

    A field cut out of tissue ends in the middle of cells. White beyond that edge looks like the shrinkage around a dying
    cell, and figures near it were missed.

    Raises
    ------
    ValueError
        If the region does not touch the slide.
    """
    inside = work.intersection(Region(0, 0, *frame.size_to_work(slide.width, slide.height)))
    if not inside.area:
        raise ValueError(f"{work} lies outside the slide")
    pixels = slide.read(frame.region_to_level0(inside), inside.width, inside.height)
    if inside == work:
        return pixels
    above, left = inside.y - work.y, inside.x - work.x
    margins = ((above, work.height - inside.height - above), (left, work.width - inside.width - left), (0, 0))
    return np.pad(pixels, margins, mode="symmetric")


@contextmanager
def read_ahead(
    slide: Slide,
    frame: WorkFrame,
    tiles: Sequence[PlannedTile],
    clock: ReadClock,
    *,
    readers: int = READERS,
    ahead: int = AHEAD,
    instead: Callable[[PlannedTile], _T | None] = lambda _: None,
) -> Iterator[Iterator[tuple[PlannedTile, NDArray[np.uint8] | _T]]]:
    """An iterator over (tile, pixels of its patch), read by threads that end with the context.

    ahead : patches that are read, or being read, before they are asked for
    instead : what comes in place of a tile's pixels, which are then not read; None where they are needed
    A read that fails raises where its patch would have come.
    """

    def read(tile: PlannedTile) -> tuple[NDArray[np.uint8] | _T, float]:
        if (known := instead(tile)) is not None:
            return known, 0.0
        started = time.perf_counter()
        pixels = read_mirrored(slide, frame, tile.patch.region)
        return pixels, time.perf_counter() - started

    def patches(pool: ThreadPoolExecutor) -> Iterator[tuple[PlannedTile, NDArray[np.uint8] | _T]]:
        waiting: deque[tuple[PlannedTile, Future[tuple[NDArray[np.uint8] | _T, float]]]] = deque()
        upcoming = iter(tiles)
        while True:
            while len(waiting) < ahead and (tile := next(upcoming, None)) is not None:
                waiting.append((tile, pool.submit(read, tile)))
            if not waiting:
                return
            tile, future = waiting.popleft()
            started = time.perf_counter()
            pixels, seconds = future.result()
            clock.wait_s += time.perf_counter() - started
            clock.read_s += seconds
            yield tile, pixels

    pool = ThreadPoolExecutor(readers, thread_name_prefix="slide-reader")
    try:
        yield patches(pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
