"""A one-stage detector finds each figure once, wherever seams of windows and the slide's borders are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.core.geometry import Roi
from serving.core.options import ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.examples import draw_examples
from tests.fakes import DOT_PX, DotsAlone, make_alone_card, plant, tissue

DOT_UM = DOT_PX * 0.25


@st.composite
def windows(draw: st.DrawFn) -> tuple[float, int, int]:
    """Microns per px, side and overlap of windows, such that a dot lies whole in one of them with room around it."""
    mpp = draw(st.sampled_from([0.25, 0.4, 0.5]))
    least = int(np.ceil(22 / mpp))
    overlap = draw(st.integers(least, least + 30))
    blocks = draw(st.integers(int(np.ceil(overlap / 8)), 48))
    return mpp, overlap + 8 * blocks, overlap


@draw_examples(40)
@given(
    windows(),
    st.tuples(st.integers(60, 900), st.integers(60, 900)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([0.25, 0.3, 0.5, 0.8]),
)
def test_a_figure_is_found_once_wherever_it_lies(
    chosen: tuple[float, int, int], sides: tuple[int, int], place: tuple[float, float], slide_mpp: float
) -> None:
    mpp, window, overlap = chosen
    half = DOT_UM / slide_mpp / 2
    # A dot that lies whole on the slide: what the border cuts and mirrors is the neighbouring test's.
    x, y = (half + 1 + share * (size - 2 * half - 2) for share, size in zip(place, sides, strict=True))
    pixels = tissue(*sides)
    plant(pixels, x, y, side=round(DOT_UM / slide_mpp))
    detector = DotsAlone(make_alone_card(mpp=mpp, window=window, overlap=overlap))
    options = ScoringOptions(min_tissue_fraction=0, qc="off")
    report = score_slide(ArraySlide(pixels, mpp=slide_mpp), detector, options).report
    (found,) = report.detections
    away = np.hypot(found.x + found.width / 2 - x, found.y + found.height / 2 - y) * slide_mpp
    assert away < 1.5
    assert sum(tile.mitotic_count for tile in report.tiles) == 1


@draw_examples(20)
@given(windows(), st.lists(st.tuples(st.integers(0, 13), st.integers(0, 11)), min_size=1, max_size=12, unique=True))
def test_neighbours_are_not_merged_and_a_region_bounds_what_counts(
    chosen: tuple[float, int, int], places: list[tuple[int, int]]
) -> None:
    mpp, window, overlap = chosen
    pixels = tissue(901, 777)
    centres = [(40 + 60 * column, 40 + 60 * row) for column, row in places]
    for x, y in centres:
        plant(pixels, x, y)
    roi = Roi(((0, 0), (430, 0), (430, 777), (0, 777)))
    detector = DotsAlone(make_alone_card(mpp=mpp, window=window, overlap=overlap))
    for asked, wanted in ((None, centres), (roi, [c for c in centres if c[0] < 430])):
        options = ScoringOptions(min_tissue_fraction=0, qc="off", roi=asked)
        report = score_slide(ArraySlide(pixels, mpp=0.25), detector, options).report
        assert report.counts.mitotic_figures == len(wanted)
        found = sorted((d.x + d.width / 2, d.y + d.height / 2) for d in report.detections)
        assert np.abs(np.asarray(found).reshape(-1, 2) - np.asarray(sorted(wanted)).reshape(-1, 2)).max(initial=0) < 6
