import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.core.report_parts import CascadeMode
from serving.scoring.pipeline import DEFAULTS, score_slide
from serving.slides.arrayslide import ArraySlide
from tests.examples import draw_examples
from tests.fakes import DOT_PX, TriagedDots, plant, tissue

pytestmark = pytest.mark.property
WIDTH, HEIGHT = 2100, 1130
TISSUE = tissue(WIDTH, HEIGHT)

# Edges of blocks, sub-tiles and tiles lie at multiples of 125 px: half of the dots are drawn around them.
near_edges = st.builds(lambda k, d: k * 125.0 + d, st.integers(0, 16), st.integers(-26, 26))
xs = st.one_of(near_edges, st.floats(0, WIDTH)).map(lambda v: min(max(v, DOT_PX), WIDTH - DOT_PX))
ys = st.one_of(near_edges, st.floats(0, HEIGHT)).map(lambda v: min(max(v, DOT_PX), HEIGHT - DOT_PX))


def _report(pixels: NDArray[np.uint8], *, mpp: float = 0.25, options: ScoringOptions = DEFAULTS) -> Report:
    return score_slide(ArraySlide(pixels, mpp=mpp), TriagedDots(), options).report


def _around(report: Report, x: float, y: float) -> bool:
    (found,) = report.detections
    return abs(found.x + found.width / 2 - x) <= 1.5 and abs(found.y + found.height / 2 - y) <= 1.5


@draw_examples(40)
@given(xs, ys, st.sampled_from(["exact", "fast", "off"]))
@example(1000.0, 1000.0, "exact")
@example(1000.0, 1000.0, "fast")
@example(1000.0, 1000.0, "off")
@example(999.5, 125.0, "exact")
@example(999.5, 125.0, "fast")
@example(2000.0, 1000.0, "exact")
@example(DOT_PX / 2, DOT_PX / 2, "exact")
@example(DOT_PX / 2, DOT_PX / 2, "fast")
@example(WIDTH - DOT_PX / 2, HEIGHT - DOT_PX / 2, "fast")
@example(WIDTH - DOT_PX / 2, HEIGHT - DOT_PX / 2, "off")
def test_a_dot_anywhere_counts_once(x: float, y: float, cascade: CascadeMode) -> None:
    pixels = TISSUE.copy()
    plant(pixels, x, y)
    report = _report(pixels, options=ScoringOptions(cascade=cascade))
    assert report.counts.mitotic_figures == sum(t.mitotic_count for t in report.tiles) == 1
    assert _around(report, x, y)


@draw_examples(15)
@given(st.floats(20, 580), st.floats(20, 480), st.sampled_from([0.125, 0.4, 0.5]))
@example(500.0, 250.0, 0.5)
def test_a_dot_on_a_resampled_slide_counts_once(x: float, y: float, mpp: float) -> None:
    side = round(DOT_PX * 0.25 / mpp)
    pixels = tissue(600, 500)
    plant(pixels, x, y, side=side)
    report = _report(pixels, mpp=mpp, options=ScoringOptions(threshold=0.3))
    assert report.counts.mitotic_figures == 1
    found = report.detections[0]
    assert abs(found.x + found.width / 2 - x) <= 3
    assert abs(found.y + found.height / 2 - y) <= 3


@draw_examples(12)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 6)), max_size=12), st.integers(0, 60))
def test_counts_per_mm2_are_the_same_at_twice_the_pixels_and_half_the_mpp(
    places: set[tuple[int, int]], shift: int
) -> None:
    # 0.5 and 0.25 um/px: the first is resampled, the second is what the models are trained at.
    coarse = tissue(700, 600)
    for column, row in places:
        plant(coarse, 50 + 80 * column + shift % 20, 50 + 80 * row + shift // 4, side=DOT_PX // 2)
    fine = coarse.repeat(2, 0).repeat(2, 1)
    first, second = (
        _report(p, mpp=mpp, options=ScoringOptions(threshold=0.3)) for p, mpp in ((coarse, 0.5), (fine, 0.25))
    )
    assert first.counts.mitotic_figures == second.counts.mitotic_figures == len(places)
    assert first.counts.tissue_area_mm2 == pytest.approx(second.counts.tissue_area_mm2, rel=0.01)
    assert first.counts.per_mm2 == pytest.approx(second.counts.per_mm2, rel=0.01)


@draw_examples(30)
@given(st.integers(1, 260), st.integers(1, 260), st.sampled_from([0.1, 0.25, 0.5, 1.0]))
@example(1, 1, 0.25)
@example(10, 3, 0.25)
@example(1, 1, 0.1)
@example(250, 250, 0.25)
@example(1, 260, 1.0)
def test_slides_smaller_than_a_sub_tile_are_scored(width: int, height: int, mpp: float) -> None:
    report = _report(tissue(width, height), mpp=mpp, options=ScoringOptions(cascade="off"))
    (first, *_) = report.tiles
    assert (first.x, first.y) == (0, 0)
    assert sum(t.width * t.height for t in report.tiles if t.y == 0) >= width
    assert report.counts.mitotic_figures == 0
    assert first.scores[0][0] is not None


@draw_examples(20)
@given(st.integers(30, 240), st.integers(30, 240), st.data())
def test_a_dot_on_a_slide_smaller_than_a_sub_tile_counts_once(width: int, height: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(DOT_PX // 2, width - DOT_PX // 2))
    y = data.draw(st.integers(DOT_PX // 2, height - DOT_PX // 2))
    pixels = tissue(width, height)
    plant(pixels, x, y)
    report = _report(pixels)
    assert report.counts.mitotic_figures == 1
    assert _around(report, x, y)
    assert report.detections[0].x >= 0
    assert report.detections[0].x + report.detections[0].width <= width
