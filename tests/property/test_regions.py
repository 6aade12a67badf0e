"""Random polygons with holes: the area is shapely's to within the mask's elements, and each figure counts once or not at all."""

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.outlines import Outlines, parse_outlines
from serving.scoring.count_bounds import CountBounds
from serving.scoring.tissue import TissueMask, rasterise

pytestmark = pytest.mark.property
WIDTH, HEIGHT, STEP = 1000, 800, 5.0
SHAPE = (round(HEIGHT / STEP), round(WIDTH / STEP))


@st.composite
def stars(draw: st.DrawFn) -> shapely.Polygon:
    """A star-shaped polygon, which crosses itself nowhere, with a hole or none; it may reach beyond the slide."""
    corners = draw(st.integers(3, 14))
    x, y = draw(st.integers(0, WIDTH)), draw(st.integers(0, HEIGHT))
    radii = np.asarray(draw(st.lists(st.integers(60, 400), min_size=corners, max_size=corners)), np.float64)
    turns = np.arange(corners) * 2 * np.pi / corners + draw(st.floats(0, 1))
    ring = np.stack([x + radii * np.cos(turns), y + radii * np.sin(turns)], 1)
    hole = np.stack([x + 0.4 * radii.min() * np.cos(turns), y + 0.4 * radii.min() * np.sin(turns)], 1)
    if draw(st.booleans()):
        # Whole px: then many figures of the test lie on edges.
        ring, hole = ring.round(), hole.round()
    shape = shapely.Polygon(ring, [hole] if draw(st.booleans()) and corners > 3 else [])
    assume(shape.is_valid and shape.intersection(shapely.box(0, 0, WIDTH, HEIGHT)).area > 0)
    return shape


def outlines(*shapes: shapely.Polygon) -> Outlines:
    features: list[dict[str, Any]] = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape)} for shape in shapes
    ]
    for feature in features:  # tuples, where JSON has lists
        feature["geometry"]["coordinates"] = [[list(p) for p in ring] for ring in feature["geometry"]["coordinates"]]
    return parse_outlines({"type": "FeatureCollection", "unit": "level-0 px", "features": features})


def find_tissue(marked: NDArray[np.bool_]) -> TissueMask:
    return TissueMask(marked, np.ones(SHAPE, np.bool_), np.zeros((*SHAPE, 3), np.uint8), STEP, STEP, 1.0)


def tolerance(*shapes: Any) -> float:
    """A side takes half an element more or less, wherever it runs: at most, and far more than by chance."""
    return float(STEP * (sum(shape.length for shape in shapes) / 2 + STEP * 8))


@settings(max_examples=60, deadline=None)
@given(st.lists(stars(), min_size=1, max_size=3), st.lists(stars(), max_size=2), st.integers(0, WIDTH))
def test_the_area_is_that_of_the_polygons_cut_to_tissue(within: list[Any], exclude: list[Any], edge: int) -> None:
    columns = round(edge / STEP)
    marked = np.zeros(SHAPE, np.bool_)
    marked[:, :columns] = True
    bounds = CountBounds(outlines(*within), outlines(*exclude) if exclude else None)
    inside = shapely.union_all(within).intersection(shapely.box(0, 0, columns * STEP, HEIGHT))
    left = inside.difference(shapely.union_all(exclude)) if exclude else inside
    area = bounds.find_area(find_tissue(marked), None, "off")
    assert area.total == pytest.approx(left.area, abs=tolerance(left))
    swapped = CountBounds(exclude=bounds.within).find_area(find_tissue(marked), None, "off")
    whole = CountBounds(within=bounds.within).find_area(find_tissue(marked), None, "off")
    assert swapped.total + whole.total == pytest.approx(columns * STEP * HEIGHT)


@settings(max_examples=60, deadline=None)
@given(stars(), stars(), st.lists(st.tuples(st.integers(0, WIDTH), st.integers(0, HEIGHT)), min_size=1, max_size=40))
def test_each_figure_counts_once_or_not_at_all(first: Any, second: Any, places: list[tuple[int, int]]) -> None:
    corners = shapely.get_coordinates(first)
    on_edges = (corners[:-1] + corners[1:]) / 2
    points = np.concatenate([np.asarray(places, np.float64), corners, on_edges])
    one, other = outlines(first), outlines(second)
    inside = CountBounds(within=one).hold(points)
    assert (inside ^ CountBounds(exclude=one).hold(points)).all()
    # Two areas that share all their edges: what one holds the other does not, and together they hold what both did.
    shared, rest = (shape for shape in (first.intersection(second), first.difference(second)))
    parts = [part for shape in (shared, rest) for part in shapely.get_parts(shape) if part.area > 0]
    whole = [part for part in parts if isinstance(part, shapely.Polygon)]
    held = np.zeros(len(points), int)
    for part in whole:
        held += outlines(part).hold(points)
    near = shapely.distance(second.boundary, shapely.points(points)) < 1e-3
    assert (held <= 1)[~near].all()
    assert (held[~near] == inside[~near]).all()
    both = CountBounds(within=one, exclude=other).hold(points)
    assert (both == (inside & ~other.hold(points))).all()
    clear = shapely.distance(first.boundary, shapely.points(points)) > 1e-3
    assert (inside == shapely.contains_xy(first, points))[clear].all()


@settings(max_examples=60, deadline=None)
@given(stars())
def test_an_element_is_marked_where_its_centre_lies_inside(shape: Any) -> None:
    found = rasterise(outlines(shape).edges, SHAPE, STEP, STEP)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * STEP + STEP / 2
    clear = shapely.distance(shape.boundary, shapely.points(x, y)) > 1e-6
    assert (found == shapely.contains_xy(shape, x, y))[clear].all()
