"""Hotspots of connected high-power fields: squares of a grid, each of which touches another by a side, with the most figures.

Choosing the best connected cells of a grid is NP-hard (the maximum-weight connected subgraph of a size). So the search is exact where it
ends within a number of steps, and greedy from there on; it says which.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.scoring.windows import Bounds, Places

PHASES = (0.0, 0.5)
"""Grids begin at these shares of a field's side, across and down: a cluster that one grid cuts lies whole in another."""
MOST_STEPS = 2_000
"""Sets of fields that the exact search of one grid looks at."""
STARTS = 12
"""Fields from which the greedy search begins, the fullest neighbourhoods first."""
REACH = 4
"""So many fields away the greedy search looks for more figures."""
Cell = tuple[int, int]
"""(column, row) of a field in its grid."""
Counts = dict[Cell, int]
Allowed = Callable[["Fields"], bool]
"""Whether fields may be chosen, because there is tissue enough."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Square fields; a `CountingWindow` of fixed place.

    corners : float64, shape (N, 2), (x, y), level-0 px from the analysed region's corner
    side : of a field, level-0 px
    exact : whether no other connected fields of the same grids hold more
    """

    corners: Places
    side: float
    exact: bool

    @property
    def place(self) -> NDArray[np.float64]:
        """The upper left corner of the bounding box, (x, y), level-0 px."""
        return np.asarray(self.corners.min(0))

    @property
    def width(self) -> float:
        """See `CountingWindow.width`."""
        return float(np.ptp(self.corners[:, 0])) + self.side

    @property
    def height(self) -> float:
        """See `CountingWindow.height`."""
        return float(np.ptp(self.corners[:, 1])) + self.side

    @property
    def area(self) -> float:
        """See `CountingWindow.area`."""
        return len(self.corners) * self.side**2

    def holds(self, places: Places, points: Places) -> NDArray[np.bool_]:
        """See `CountingWindow.holds`."""
        return np.stack([self._hold(points - place + self.place) for place in places])

    def meets(self, places: Places, other: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the same fields at other places overlap those at `other`, shape (M,)."""
        moved = [self.overlaps(Fields(self.corners + other - place, self.side, self.exact)) for place in places]
        return np.asarray(moved, np.bool_)

    def places(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64], end: Places) -> Places:
        """Nowhere else: fields stand where they were found."""
        return self.place[None]

    def bounds(self, points: Places, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
        """See `CountingWindow.bounds`."""
        held = self._hold(points)
        return held, held

    def overlaps(self, other: "Fields") -> bool:
        """Whether a field of one covers any of a field of the other."""
        away = np.abs(self.corners[:, None] - other.corners[None]).max(2)
        return bool((away < min(self.side, other.side) * (1 - 1e-9)).any())

    def _hold(self, points: Places) -> NDArray[np.bool_]:
        inside = (points[:, None] >= self.corners[None]) & (points[:, None] < self.corners[None] + self.side)
        return np.asarray(np.any(np.all(inside, axis=2), axis=1))


def find_connected_fields(
    points: Places,
    *,
    side: float,
    fields: int,
    size: tuple[float, float],
    number: int,
    allowed: Allowed = lambda _: True,
) -> list[Fields]:
    """Up to `number` sets of connected fields that do not overlap, each the fullest that the search finds beside those before.

    Of equally full ones the uppermost comes first, then the leftmost. Fields lie in the region; where it has no room for so many in a
    grid, there are none.

    points : float64, shape (N, 2), (x, y), level-0 px from the corner of the region that was analysed
    side : of a field, level-0 px. fields : in each set. size : (width, height) of the region
    """
    taken: list[Fields] = []
    while len(taken) < number:
        found = [
            one
            for across in PHASES
            for down in PHASES
            for one in _search_grid(
                points, (across * side, down * side), side=side, fields=fields, size=size, taken=taken, allowed=allowed
            )
        ]
        if not found:
            break
        exact = all(one.exact for _, one in found)
        _, best = min(found, key=lambda item: (item[0], tuple(item[1].place[::-1])))
        taken.append(Fields(best.corners, side, exact))
    return taken


def _search_grid(
    points: Places,
    start: tuple[float, float],
    *,
    side: float,
    fields: int,
    size: tuple[float, float],
    taken: list[Fields],
    allowed: Allowed,
) -> list[tuple[int, Fields]]:
    """The best set of one grid, with minus its count; none where nothing fits. start : corner of the first field."""
    columns, rows = (math.floor((length - first) / side + 1e-9) for length, first in zip(size, start, strict=True))
    if columns < 1 or rows < 1:
        return []

    def make(cells: frozenset[Cell], *, exact: bool) -> Fields:
        return Fields(np.asarray(sorted(cells), np.float64) * side + start, side, exact)

    @cache
    def is_free(cell: Cell) -> bool:
        inside = 0 <= cell[0] < columns and 0 <= cell[1] < rows
        return inside and not any(make(frozenset([cell]), exact=True).overlaps(other) for other in taken)

    places = np.floor((points - start) / side).astype(np.int64)
    counts: Counts = {}
    for x, y in places.tolist():
        counts[x, y] = counts.get((x, y), 0) + 1
    counts = {cell: count for cell, count in counts.items() if is_free(cell)}
    if not counts:
        return []
    chosen, exact = search_cells(
        counts, fields, is_free, lambda cells: allowed(make(cells, exact=True)), steps=MOST_STEPS
    )
    if chosen is None:
        return []
    return [(-sum(counts.get(cell, 0) for cell in chosen), make(chosen, exact=exact))]


def search_cells(
    counts: Counts,
    fields: int,
    is_free: Callable[[Cell], bool],
    allowed: Callable[[frozenset[Cell]], bool] = lambda _: True,
    *,
    steps: int = MOST_STEPS,
) -> tuple[frozenset[Cell] | None, bool]:
    """Connected cells that hold the most, and whether none hold more; None where none that are allowed hold any.

    The greedy answer comes first. Then sets grow from every cell that holds something, those of the highest bound first, until no
    bound is above what is known or the steps are used up. Each set is looked at once (Redelmeier 1981).

    counts : of cells that hold something and are free. is_free : of any cell, whether it may be chosen
    """
    best = _search_greedily(counts, fields, is_free, allowed)
    most = 0 if best is None else _total(best, counts)
    barred: set[Cell] = set()
    for seed, near in _list_seeds(counts, fields):
        # Sets with a seed before this one were looked at from there.
        first = tuple(n for n in _neighbours(seed) if n not in barred and is_free(n))
        waiting: list[_Grown] = [(0, 0, (seed,), first, frozenset((seed, *first)) | barred)]
        order = 0
        while waiting:
            _, _, cells, border, seen = heapq.heappop(waiting)
            held = _total(cells, counts)
            if _bound(cells, held, fields, near) <= most:
                continue
            if len(cells) == fields:
                if allowed(frozenset(cells)):
                    best, most = frozenset(cells), held
                continue
            steps -= 1
            if steps < 0:
                return best, False
            for i, cell in enumerate(border):
                grown = (*cells, cell)
                bound = _bound(grown, held + counts.get(cell, 0), fields, near)
                if bound > most:
                    added = tuple(n for n in _neighbours(cell) if n not in seen and is_free(n))
                    order += 1
                    # Cells of the border before this one are not taken later: those sets were looked at before.
                    heapq.heappush(waiting, (-bound, order, grown, (*border[i + 1 :], *added), seen | frozenset(added)))
        barred.add(seed)
    return best, True


_Grown = tuple[int, int, tuple[Cell, ...], tuple[Cell, ...], frozenset[Cell]]
"""A set on its way: minus its bound, its turn, its cells, those that it may grow by, and those that it has seen."""
_Near = list[tuple[int, Cell]]
"""Counts of what a set from one seed may reach, the fullest first, with their cells."""


def _list_seeds(counts: Counts, fields: int) -> list[tuple[Cell, _Near]]:
    """Every cell that holds something with what is near it, those of the highest bound first."""
    cells = list(counts)
    if not cells:
        return []
    # The stubs know the answer for one point only.
    around = cast("list[list[int]]", cKDTree(cells).query_ball_point(cells, fields - 1 + 1e-6, p=1))
    near = [sorted(((counts[cells[j]], cells[j]) for j in own), reverse=True) for own in around]
    seeds = list(zip(cells, near, strict=True))
    return sorted(seeds, key=lambda item: (-sum(n for n, _ in item[1][:fields]), item[0][1], item[0][0]))


def _bound(cells: tuple[Cell, ...], held: int, fields: int, near: _Near) -> int:
    """What no set of connected cells with these holds more than: with the fullest others that are near enough."""
    left = fields - len(cells)
    for count, cell in near:
        if not left:
            break
        if cell not in cells:
            held, left = held + count, left - 1
    return held


def _search_greedily(
    counts: Counts, fields: int, is_free: Callable[[Cell], bool], allowed: Callable[[frozenset[Cell]], bool]
) -> frozenset[Cell] | None:
    """From each of the fullest places, go to whatever holds most for the fields that it takes to reach it."""
    around = {
        cell: sum(counts.get((cell[0] + dx, cell[1] + dy), 0) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
        for cell in counts
    }
    best: frozenset[Cell] | None = None
    for seed in sorted(counts, key=lambda cell: (-around[cell], cell[1], cell[0]))[:STARTS]:
        cells = _grow(seed, counts, fields, is_free)
        if cells is None or not allowed(cells):
            continue
        if best is None or _total(cells, counts) > _total(best, counts):
            best = cells
    return best


def _grow(seed: Cell, counts: Counts, fields: int, is_free: Callable[[Cell], bool]) -> frozenset[Cell] | None:
    cells = {seed}
    while len(cells) < fields:
        path = _find_path(cells, counts, fields - len(cells), is_free)
        if path is None:
            return None
        cells.update(path)
    return frozenset(cells)


def _find_path(
    cells: set[Cell], counts: Counts, left: int, is_free: Callable[[Cell], bool]
) -> "tuple[Cell, ...] | None":
    """The cells to add that hold most a cell, breadth first up to so many; an empty neighbour where nothing is in reach."""
    best: tuple[float, int, tuple[Cell, ...]] | None = None
    reached: dict[Cell, tuple[Cell, ...]] = {}
    layer: list[tuple[Cell, tuple[Cell, ...]]] = [(cell, ()) for cell in sorted(cells, key=lambda c: (c[1], c[0]))]
    for length in range(1, min(left, REACH) + 1):
        following = []
        for cell, path in layer:
            for step in _neighbours(cell):
                if step in cells or step in reached or not is_free(step):
                    continue
                reached[step] = (*path, step)
                following.append((step, reached[step]))
                gain = _total(reached[step], counts) / length
                if best is None or gain > best[0]:
                    best = (gain, length, reached[step])
        layer = following
    return None if best is None else best[2] if best[0] > 0 else best[2][:1]


def _total(cells: "frozenset[Cell] | tuple[Cell, ...]", counts: Counts) -> int:
    return sum(counts.get(cell, 0) for cell in cells)


def _neighbours(cell: Cell) -> tuple[Cell, ...]:
    x, y = cell
    return ((x, y - 1), (x - 1, y), (x + 1, y), (x, y + 1))
