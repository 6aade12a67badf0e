"""Hotspots: the windows of fixed area with the most mitotic figures, by exact search."""

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from serving.scoring.windows import CountingWindow, Places

OPEN_POINTS = 24
"""Squares of places that leave no more points open than so many are looked into and not divided further."""
SMALLEST_PX = 1.0
"""Squares of places are not divided below it: figures on one spot cannot be told apart."""

Allowed = Callable[[NDArray[np.float64]], bool]
"""Whether a window may stand at a place, (x, y), because there is tissue enough."""
_Key = tuple[float, float, float]
"""What makes a place better: minus its count, its y, its x."""


def find_hotspots(
    points: Places,
    *,
    window: CountingWindow,
    size: tuple[float, float],
    number: int,
    allowed: Allowed = lambda place: True,
) -> Places:
    """Places of up to `number` windows that do not overlap, shape (M, 2): each the fullest that those before leave room for.

    No window in the region holds more than the first. Those compete that touch points, or the region's border, on two sides:
    of the windows with the same points one, so where tissue is asked for, it is asked of that one. Of equally full ones the
    uppermost comes first, then the leftmost. A window found is then centred on what it holds, if it may stand there and
    still holds as much.

    points : float64, shape (N, 2), (x, y), level-0 px from the corner of the region that was analysed
    size : (width, height) of that region
    """
    end = np.maximum(np.asarray(size) - (window.width, window.height), 0.0)
    taken = np.empty((0, 2))

    def may_stand(place: NDArray[np.float64]) -> bool:
        return allowed(place) and not any(window.meets(place[None], other)[0] for other in taken)

    while len(taken) < number and (best := _fullest(points, window, end, taken, allowed)) is not None:
        taken = np.concatenate([taken, _centre_window(best, points, window, end, may_stand)[None]])
    return taken


def _fullest(
    points: Places, window: CountingWindow, end: NDArray[np.float64], taken: Places, allowed: Allowed
) -> NDArray[np.float64] | None:
    """The best place, by branch and bound: a square of places that may hold fewer than one is known to is left alone."""
    best: _Key | None = None
    waiting = [_Square.select(points, window, np.zeros(2), np.nextafter(end, np.inf))]
    while waiting and (best is None or waiting[0].promise <= best):
        square = heapq.heappop(waiting)
        if square.open > OPEN_POINTS and square.side > SMALLEST_PX:
            for part in square.parts(window):
                if part.promise[0] < 0 and not _is_covered(part, window, taken):
                    heapq.heappush(waiting, part)
            continue
        for key in _rank_places(square, window, end, taken):
            if best is not None and key >= best:
                break
            if allowed(np.asarray([key[2], key[1]])):
                best = key
                break
    return None if best is None else np.asarray([best[2], best[1]])


def _rank_places(square: "_Square", window: CountingWindow, end: NDArray[np.float64], taken: Places) -> Iterator[_Key]:
    """The places in a square that hold anything and meet no window taken, the best first."""
    places = window.places(square.points, square.low, square.high, end)
    counts = window.holds(places, square.points).sum(1)
    free = counts > 0
    for other in taken:
        free &= ~window.meets(places, other)
    places, counts = places[free], counts[free]
    for i in np.lexsort((places[:, 0], places[:, 1], -counts)):
        yield -float(counts[i]), float(places[i, 1]), float(places[i, 0])


def _is_covered(square: "_Square", window: CountingWindow, taken: Places) -> bool:
    """Whether all places of a square meet one window taken: where a window stands no other may, and that area is convex."""
    corners = np.asarray([(x, y) for x in (square.low[0], square.high[0]) for y in (square.low[1], square.high[1])])
    return any(bool(window.meets(corners, other).all()) for other in taken)


def _centre_window(
    place: NDArray[np.float64], points: Places, window: CountingWindow, end: NDArray[np.float64], may_stand: Allowed
) -> NDArray[np.float64]:
    held = window.holds(place[None], points)[0]
    extent = points[held].min(0) + points[held].max(0)
    middle = ((extent - (window.width, window.height)) / 2).clip(0, end)
    fits = window.holds(middle[None], points)[0].sum() == held.sum()
    return np.asarray(middle if fits and may_stand(middle) else place)


class _Square:
    """Places in [low, high), and the points that a window at any of them may hold."""

    __slots__ = ("high", "low", "open", "points", "promise")

    def __init__(
        self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64], promise: _Key, undecided: int
    ) -> None:
        self.points, self.low, self.high, self.promise, self.open = points, low, high, promise, undecided

    @classmethod
    def select(
        cls, points: Places, window: CountingWindow, low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> "_Square":
        """The square, of all points that another one had."""
        may, sure = window.bounds(points, low, high)
        promise = (-float(may.sum()), float(low[1]), float(low[0]))
        return cls(points[may], low, high, promise, int(may.sum() - sure.sum()))

    def __lt__(self, other: "_Square") -> bool:
        return self.promise < other.promise

    @property
    def side(self) -> float:
        """Of the longer side, px."""
        return float((self.high - self.low).max())

    def parts(self, window: CountingWindow) -> Iterator["_Square"]:
        """Halves of the square along its longer side."""
        axis = int(np.argmax(self.high - self.low))
        middle = (self.low[axis] + self.high[axis]) / 2
        low, high = self.low.copy(), self.high.copy()
        high[axis] = low[axis] = middle
        yield self.select(self.points, window, self.low, high)
        yield self.select(self.points, window, low, self.high)
