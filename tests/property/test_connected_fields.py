"""Connected fields hold as many figures as any, where the search is exact, and never more than there are."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.scoring.connected_fields import Cell, find_connected_fields, search_cells
from tests.examples import draw_examples

SIDES = (4, 4)
CELLS = [(x, y) for x in range(SIDES[0]) for y in range(SIDES[1])]


def _is_connected(cells: tuple[Cell, ...]) -> bool:
    reached, waiting = {cells[0]}, [cells[0]]
    while waiting:
        x, y = waiting.pop()
        for step in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if step in cells and step not in reached:
                reached.add(step)
                waiting.append(step)
    return len(reached) == len(cells)


CONNECTED = {
    fields: [cells for cells in itertools.combinations(CELLS, fields) if _is_connected(cells)]
    for fields in (1, 2, 3, 4)
}


@draw_examples(60)
@given(
    st.lists(st.integers(0, 4), min_size=16, max_size=16),
    st.lists(st.booleans(), min_size=16, max_size=16),
    st.integers(1, 4),
)
def test_it_is_what_trying_all_sets_finds(numbers: list[int], open_: list[bool], fields: int) -> None:
    free = {cell for cell, is_open in zip(CELLS, open_, strict=True) if is_open}
    counts = {cell: n for cell, n in zip(CELLS, numbers, strict=True) if n and cell in free}
    sets = [cells for cells in CONNECTED[fields] if free.issuperset(cells)]
    most = max((sum(counts.get(cell, 0) for cell in cells) for cells in sets), default=0)
    found, exact = search_cells(counts, fields, free.__contains__)
    assert exact
    if most == 0:
        assert found is None
        return
    assert found is not None
    assert len(found) == fields
    assert _is_connected(tuple(found))
    assert free.issuperset(found)
    assert sum(counts.get(cell, 0) for cell in found) == most
    # Without steps it says that it is not exact, and has connected fields all the same, where it reaches any.
    greedy, is_exact = search_cells(counts, fields, free.__contains__, steps=0)
    if greedy is not None:
        assert _is_connected(tuple(greedy))
        held = sum(counts.get(cell, 0) for cell in greedy)
        assert held == most if is_exact else held <= most


@draw_examples(40)
@given(st.lists(st.tuples(st.integers(0, 79), st.integers(0, 59)), max_size=14), st.integers(1, 3))
def test_fields_touch_lie_in_the_region_and_do_not_overlap(points: list[tuple[int, int]], fields: int) -> None:
    places = np.asarray(points, np.float64).reshape(-1, 2)
    found = find_connected_fields(places, side=20, fields=fields, size=(80, 60), number=3)
    for one in found:
        assert one.corners.shape == (fields, 2)
        cells = [(round(x / 10), round(y / 10)) for x, y in one.corners]
        assert _is_connected(tuple((x // 2, y // 2) for x, y in cells))
        assert (one.corners >= 0).all()
        assert (one.corners + 20 <= (80, 60)).all()
        assert one.holds(one.place[None], places).sum() > 0
        assert np.isclose(one.area, fields * 400)
    held = [int(one.holds(one.place[None], places).sum()) for one in found]
    if all(one.exact for one in found):
        assert held == sorted(held, reverse=True)
    for a, b in itertools.combinations(found, 2):
        assert not a.overlaps(b)
        assert not (a.holds(a.place[None], places) & b.holds(b.place[None], places)).any()
