"""Random tissue of three kinds under random windows: each element is of its kind, each figure counts once or not at all."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.geometry import WorkFrame
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.outlines import Outlines
from serving.scoring.count_bounds import CountBounds
from serving.scoring.pipeline import score_slide
from serving.scoring.regions import map_tissue_classes
from serving.scoring.tissue import TissueMask
from serving.slides.arrayslide import ArraySlide
from tests.fakes import NECROSIS, STROMA, BoundedDots, ColourSegmenter, make_regions_card, plant

pytestmark = pytest.mark.property
MPP, ELEMENT = 0.25, 10
COLOURS = np.asarray([(225, 170, 205), NECROSIS, STROMA], np.uint8)
COLUMNS, ROWS = 60, 44
"""Elements of the map; 256 of them, or one each px, are the least of a real mask."""


@st.composite
def kinds(draw: st.DrawFn) -> NDArray[np.int64]:
    """Kind of tissue of each element: rectangles over one kind."""
    grid = np.full((ROWS, COLUMNS), draw(st.integers(0, 2)))
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, COLUMNS - 1)), draw(st.integers(0, ROWS - 1))
        grid[y : y + draw(st.integers(1, 30)), x : x + draw(st.integers(1, 30))] = draw(st.integers(0, 2))
    return grid


@st.composite
def segmenters(draw: st.DrawFn) -> ColourSegmenter:
    """Windows of any side and overlap at three resolutions, and maps at half of it too."""
    window = 2 * draw(st.integers(8, 60))
    overlap = draw(st.integers(0, window // 2))
    card = make_regions_card(mpp=draw(st.sampled_from([0.25, 0.5, 1.25])), window=window, overlap=overlap)
    return ColourSegmenter(card, factor=draw(st.sampled_from([1, 2])))


def _draw(grid: NDArray[np.int64]) -> NDArray[np.uint8]:
    return COLOURS[grid].repeat(ELEMENT, 0).repeat(ELEMENT, 1)


@settings(max_examples=40, deadline=None)
@given(kinds(), segmenters(), st.integers(0, 2**32 - 1))
def test_every_element_that_is_looked_at_is_of_its_kind(
    grid: NDArray[np.int64], segmenter: ColourSegmenter, seed: int
) -> None:
    marked = np.random.default_rng(seed).random(grid.shape) < 0.2
    tissue = TissueMask(marked, np.ones_like(marked), np.zeros((*grid.shape, 3), np.uint8), ELEMENT, ELEMENT, 2.5)
    frame = WorkFrame.from_mpp(MPP, segmenter.card.input.mpp)
    found = map_tissue_classes(ArraySlide(_draw(grid), mpp=MPP), tissue, frame, segmenter, lambda: None)
    assert found.seen[marked].all(), "all of the tissue is looked at"
    classes = found.choose(0.0)
    # A place of a coarser map lies across an edge where its window begins at an odd px: then most places of an element must not.
    if segmenter.factor == 1 or segmenter.factor * segmenter.card.input.mpp <= 0.25 * ELEMENT * MPP:
        assert np.array_equal(classes[found.seen], grid[found.seen])
    assert np.allclose(found.probabilities[:, found.seen].sum(0), 1)


@settings(max_examples=20, deadline=None)
@given(kinds(), st.lists(st.tuples(st.integers(2, COLUMNS - 3), st.integers(2, ROWS - 3)), max_size=8, unique=True))
def test_outlines_hold_what_they_were_made_of_and_bound_the_count(
    grid: NDArray[np.int64], places: list[tuple[int, int]]
) -> None:
    pixels = _draw(grid)
    height, width = pixels.shape[:2]
    # Far enough apart to be told apart; in the middle of an element, so that no dot lies on an edge.
    kept: list[tuple[int, int]] = []
    for place in places:
        if all(max(abs(place[0] - x), abs(place[1] - y)) >= 5 for x, y in kept):
            kept.append(place)
    centres = [(x * ELEMENT + ELEMENT / 2, y * ELEMENT + ELEMENT / 2) for x, y in kept]
    for x, y in centres:
        plant(pixels, x, y)
    detector = BoundedDots(
        regions=ColourSegmenter(make_regions_card(mpp=0.25, window=200, overlap=60, least_part_mm2=1e-4))
    )
    options = ScoringOptions(counting=CountingOptions(hotspots=0))
    report = score_slide(ArraySlide(pixels, mpp=MPP), detector, options).report
    assert report.regions is not None
    assert report.settings.counting is not None
    bounds = CountBounds.from_counting(report.settings.counting)
    inside = {(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections}
    outside = {(d.x + d.width / 2, d.y + d.height / 2) for d in report.outside}
    assert inside | outside == set(centres)
    assert not inside & outside
    held = bounds.hold(np.asarray(centres, np.float64).reshape(-1, 2))
    assert inside == {centre for centre, counted in zip(centres, held, strict=True) if counted}
    # Classes share no place and leave none out; their outlines are as large as they are.
    placed = [Outlines.from_report(one.outlines) for one in report.regions.classes]
    rng = np.random.default_rng(1)
    points = rng.uniform(0, (width, height), (400, 2))
    holds: list[Any] = [np.zeros(400, np.bool_) if one is None else one.hold(points) for one in placed]
    assert (np.sum(holds, 0) == 1).all()
    total = sum(0.0 if one is None else one.area for one in placed)
    assert total == pytest.approx(width * height, rel=1e-6)
