"""Tiles in chunks: in which groups models see them, several at once and yet in order, and what is known of those that are done."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.scoring.plan import PlannedTile
from serving.scoring.tile_findings import TileFindings
from serving.scoring.tiling import Patch

Read = tuple[PlannedTile, NDArray[np.uint8] | TileFindings]
"""A tile and the pixels of its patch, or what is known of it without them."""
Fresh = tuple[PlannedTile, NDArray[np.uint8]]
"""A tile that models have to look at."""
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(slots=True)
class DoneTiles:
    """Tiles of a chunk that are done.

    settled : those that no model had to look at. screened : the others; found : in all their windows, in order
    turns : of every patch the place in which it was taken
    """

    settled: list[TileFindings] = field(default_factory=list)
    screened: list[TileFindings] = field(default_factory=list)
    found: list[Detections] = field(default_factory=list)
    turns: dict[Patch, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.settled) + len(self.screened)

    def gather(self, findings: Callable[[TileFindings, tuple[Detections, ...]], TileFindings]) -> list[TileFindings]:
        """What is known of them, in the order in which they were taken. findings : joins a tile and what was found in its windows."""
        given_to = iter(self.found)
        done = [findings(one, tuple(itertools.islice(given_to, len(one.looked)))) for one in self.screened]
        return sorted([*self.settled, *done], key=lambda tile: self.turns[tile.patch])


def map_in_turn(
    pool: ThreadPoolExecutor, compute: Callable[[_Given], _Made], given: Iterable[_Given], most: int
) -> Iterator[_Made]:
    """What `compute` makes of each, in order; `most` are computed at once, and no more are asked for."""
    waiting: deque[Future[_Made]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(compute, one))
            del one  # it need not outlive its computation
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def group_by_shape(patches: Iterable[Fresh], most: int) -> Iterator[list[Fresh]]:
    """The patches in groups of one shape, of at most `most`."""
    waiting: dict[tuple[int, ...], list[Fresh]] = {}
    for read in patches:
        shape = read[1].shape
        waiting.setdefault(shape, []).append(read)
        del read  # the next one is asked for while nobody holds this
        if len(waiting[shape]) == most:
            yield waiting.pop(shape)
    yield from waiting.values()
