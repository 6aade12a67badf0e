from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.scoring.hotspot import find_hotspot, hotspot_size_px
from serving.wsi.geometry import Region

pytestmark = pytest.mark.property
MPP, AREA_MM2 = 0.25, 0.0075
WIDTH, HEIGHT = hotspot_size_px(AREA_MM2, MPP)  # 400 x 300 px

# Multiples of 100 often lie exactly a window apart: its right and lower side are open.
coordinates = st.one_of(st.integers(0, 15).map(lambda v: v * 100.0), st.integers(0, 4 * 1500).map(lambda v: v / 4))
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=25).map(np.asarray)


def _most(centres: np.ndarray) -> int:
    """Windows [x, x + width) x [y, y + height) with their corner at any point's x and any point's y."""
    best = 0
    for x in centres[:, 0]:
        for y in centres[:, 1]:
            inside = (
                (centres[:, 0] >= x) & (centres[:, 0] < x + WIDTH) & (centres[:, 1] >= y) & (centres[:, 1] < y + HEIGHT)
            )
            best = max(best, int(inside.sum()))
    return best


@given(points)
def test_it_holds_as_many_as_any_window(centres: np.ndarray) -> None:
    found = find_hotspot(centres, within=Region(0, 0, 1600, 1600), mpp=MPP, area_mm2=AREA_MM2)
    assert found is not None
    assert found.mitotic_figures == _most(centres)
    assert 0 <= found.x <= found.x + found.width <= 1600.01
    assert 0 <= found.y <= found.y + found.height <= 1600.01
    # The report rounds to hundredths.
    x, y = centres[:, 0], centres[:, 1]
    close = (x >= found.x - 0.02) & (x <= found.x + found.width + 0.02)
    close &= (y >= found.y - 0.02) & (y <= found.y + found.height + 0.02)
    assert close.sum() >= found.mitotic_figures


@given(points, st.integers(0, 100_000), st.integers(0, 100_000))
def test_it_moves_with_the_figures(centres: np.ndarray, dx: int, dy: int) -> None:
    within = Region(0, 0, 10**6, 10**6)
    away = centres + 1000  # far from the slide's edges, at which the window is cut
    here = find_hotspot(away, within=within, mpp=MPP, area_mm2=AREA_MM2)
    there = find_hotspot(away + np.asarray([dx, dy]), within=within, mpp=MPP, area_mm2=AREA_MM2)
    assert here is not None
    assert there is not None
    assert there.mitotic_figures == here.mitotic_figures
    assert (there.x - here.x, there.y - here.y) == pytest.approx((dx, dy), abs=0.02)


@given(points, st.randoms(use_true_random=False))
def test_the_order_of_figures_changes_nothing(centres: np.ndarray, random: Random) -> None:
    order = list(range(len(centres)))
    random.shuffle(order)
    first, second = (
        find_hotspot(c, within=Region(0, 0, 1600, 1600), mpp=MPP, area_mm2=AREA_MM2) for c in (centres, centres[order])
    )
    assert first == second
