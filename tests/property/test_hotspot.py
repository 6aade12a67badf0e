"""Held against brute force: every place that matters, tried one by one."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.counts import HotspotShape
from serving.core.geometry import Region
from serving.scoring.hotspot import find_hotspots
from serving.scoring.windows import CountingWindow, make_window
from tests.examples import draw_examples

pytestmark = pytest.mark.property
SIDE = 1600
AREA_MM2 = 0.0075  # 400 x 300 px
CASES = 1000

# Multiples of 100 often lie exactly a window apart: a rectangle's right and lower side are open.
coordinates = st.one_of(st.integers(0, 15).map(lambda v: v * 100.0), st.integers(0, 4 * 1599).map(lambda v: v / 4))
points = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=14).map(np.asarray)
shapes: st.SearchStrategy[HotspotShape] = st.sampled_from(["rectangle", "disc"])


def _window(shape: HotspotShape) -> CountingWindow:
    return make_window(shape, AREA_MM2, 0.25, Region(0, 0, SIDE, SIDE))


def _places(centres: np.ndarray, window: CountingWindow, shape: HotspotShape) -> np.ndarray:
    """All places with a point or the border on two sides of a rectangle, or with two of them on a disc's rim."""
    end = np.asarray([SIDE - window.width, SIDE - window.height])
    if shape == "rectangle":
        return np.asarray([(min(x, end[0]), min(y, end[1])) for x in centres[:, 0] for y in centres[:, 1]])
    radius = window.width / 2
    places = [(x - radius, y - radius) for x, y in centres] + [(0, 0), (0, end[1]), (end[0], 0), tuple(end)]
    for i, (ax, ay) in enumerate(centres):
        for bx, by in centres[:i]:
            d = np.hypot(bx - ax, by - ay)
            if 0 < d <= 2 * radius:
                h = np.sqrt(radius**2 - (d / 2) ** 2)
                for sign in (-1, 1):
                    x, y = (ax + bx) / 2 - sign * h * (by - ay) / d, (ay + by) / 2 + sign * h * (bx - ax) / d
                    places.append((x - radius, y - radius))
        for edge in (radius, end[0] + radius):
            for along, across, turn in ((ax, ay, False), (ay, ax, True)):
                if abs(edge - along) <= radius:
                    for sign in (-1, 1):
                        other = across + sign * np.sqrt(radius**2 - (edge - along) ** 2)
                        x, y = (other, edge) if turn else (edge, other)
                        places.append((x - radius, y - radius))
    inside = np.asarray(places)
    # A border that is met exactly must not be lost to rounding.
    inside = np.where(np.abs(inside - end) < 1e-7, end, np.where(np.abs(inside) < 1e-7, 0.0, inside))
    return inside[(inside >= 0).all(1) & (inside <= end).all(1)]


def _find_held(
    place: np.ndarray, centres: np.ndarray, window: CountingWindow, shape: HotspotShape, slack: float = 0.0
) -> int:
    if shape == "rectangle":
        low, high = place - slack, place + np.asarray([window.width, window.height]) + slack
        return int(((centres >= low) & (centres < high)).all(1).sum())
    radius = window.width / 2
    return int((np.hypot(*(centres - place - radius).T) <= radius + 1e-6 + slack).sum())


@draw_examples(CASES)
@given(points, shapes)
def test_it_holds_as_many_as_any_window(centres: np.ndarray, shape: HotspotShape) -> None:
    window = _window(shape)
    places = find_hotspots(centres, window=window, size=(SIDE, SIDE), number=1)
    most = max(_find_held(p, centres, window, shape) for p in _places(centres, window, shape))
    if not len(places):  # no disc in the region reaches into its corners
        assert most == 0
        return
    (place,) = places
    assert _find_held(place, centres, window, shape) == most
    assert (place >= 0).all()
    assert (place + np.asarray([window.width, window.height]) <= SIDE + 1e-9).all()


@given(points, shapes, st.integers(200, 1400).map(lambda v: v + 0.123))
def test_each_further_one_is_the_fullest_that_is_left(centres: np.ndarray, shape: HotspotShape, border: float) -> None:
    """Windows right of a border are not allowed, as where there is too little tissue."""
    window = _window(shape)
    found = find_hotspots(
        centres, window=window, size=(SIDE, SIDE), number=3, allowed=lambda place: bool(place[0] <= border)
    )
    candidates = _places(centres, window, shape)
    for i in range(3):
        free = [
            _find_held(p, centres, window, shape)
            for p in candidates
            if p[0] <= border and not any(window.meets(p[None], other)[0] for other in found[:i])
        ]
        most = max(free, default=0)
        assert (_find_held(found[i], centres, window, shape) if i < len(found) else 0) == most
        if i < len(found):
            assert not any(window.meets(found[i][None], other)[0] for other in found[:i])


@given(points, shapes, st.integers(0, 100_000), st.integers(0, 100_000))
def test_it_moves_with_the_figures(centres: np.ndarray, shape: HotspotShape, dx: int, dy: int) -> None:
    shift = np.asarray([dx, dy])
    away = centres + 1000  # far from the region's edges, at which windows stop
    here = find_hotspots(away, window=_window(shape), size=(10**6, 10**6), number=1)
    there = find_hotspots(away + shift, window=_window(shape), size=(10**6, 10**6), number=1)
    counts = [_find_held(p[0], c, _window(shape), shape) for p, c in ((here, away), (there, away + shift))]
    assert counts[0] == counts[1]
    if shape == "rectangle":  # of discs that are equally full, rounding chooses
        assert there[0] - here[0] == pytest.approx(shift, abs=0.02)


@given(points, shapes, st.randoms(use_true_random=False))
def test_the_order_of_figures_changes_nothing(centres: np.ndarray, shape: HotspotShape, random: Random) -> None:
    order = list(range(len(centres)))
    random.shuffle(order)
    first, second = (
        find_hotspots(c, window=_window(shape), size=(SIDE, SIDE), number=3) for c in (centres, centres[order])
    )
    assert first == pytest.approx(second)
