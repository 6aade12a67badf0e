"""Sub-tiles counted out from boxes are those that a look at every sub-tile finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.datasets.store import Box
from tests.unit.serving.datasets.pictures import picture
from training.data.sub_tiles import STRIDE_PX, WINDOW_PX, make_sub_tiles

pytestmark = pytest.mark.property

side = st.integers(250, 900)
corner = st.floats(-40, 920, width=32)
length = st.floats(1, 300, width=32)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(corner), draw(corner)
    return x, y, x + draw(length), y + draw(length)


@given(side, side, st.lists(boxes(), max_size=6), st.lists(st.floats(0.1, 1), min_size=6, max_size=6))
def test_scores_and_fractions_equal_brute_force(
    width: int, height: int, drawn: list[Box], agreement: list[float]
) -> None:
    table = make_sub_tiles([picture(drawn, agreement=agreement[: len(drawn)], size=(width, height))])
    origins = [
        (x, y) for y in range(0, height - WINDOW_PX + 1, STRIDE_PX) for x in range(0, width - WINDOW_PX + 1, STRIDE_PX)
    ]
    assert [tuple(o) for o in table.origins.tolist()] == origins
    for index, (x, y) in enumerate(origins):
        shares = [_share(box, x, y) for box in drawn]
        expected = sum(s * a for s, a in zip(shares, agreement, strict=False))
        assert table.scores[index] == pytest.approx(expected, abs=1e-4)
        rows = table.events_in(index)
        held = dict(zip(table.event[rows].tolist(), table.fraction[rows].tolist(), strict=True))
        for number, share in enumerate(shares):
            assert held.get(number, 0.0) == pytest.approx(share, abs=1e-4)
        assert bool(table.negative[index]) == (not held)


def _share(box: Box, x: int, y: int) -> float:
    x1, y1, x2, y2 = box
    across = max(min(x2, x + WINDOW_PX) - max(x1, x), 0)
    down = max(min(y2, y + WINDOW_PX) - max(y1, y), 0)
    return float(np.float64(across) * down / ((x2 - x1) * (y2 - y1)))
