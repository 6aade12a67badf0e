import io

import numpy as np
import pytest
from PIL import Image

from serving.core.geometry import parse_roi
from serving.core.options import ScoringOptions
from serving.exports.map_margins import PAD, footer_lines, header_lines
from serving.exports.map_picture import SIDE_PX, draw_map, to_png
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue
from tests.unit.serving.exports.conftest import DOTS


def _slide_part(analysis: Analysis) -> tuple[np.ndarray, float]:
    """The drawn slide, cut out of its page, and its px per level-0 px."""
    page = np.asarray(draw_map(analysis))
    slide = analysis.report.slide
    zoom = SIDE_PX / slide.width
    top = int(np.flatnonzero((page[:, PAD : PAD + SIDE_PX] != 255).any(2).all(1))[0]) + 1  # below its frame
    return page[top : top + round(slide.height * zoom), PAD : PAD + SIDE_PX].astype(int), zoom


def test_the_png_opens_at_the_expected_size(analysis: Analysis) -> None:
    with Image.open(io.BytesIO(to_png(analysis))) as picture:
        assert picture.format == "PNG"
        assert picture.width > SIDE_PX
        assert picture.height > SIDE_PX * 1700 / 2600


def test_scores_glow_at_their_figures_and_nowhere_else(analysis: Analysis) -> None:
    drawn, zoom = _slide_part(analysis)
    pink = np.asarray((225, 170, 205))
    changed = np.abs(drawn - pink).max(2) > 25
    for x, y in DOTS:
        # Between the ring and the end of the four sub-tiles' plateau, in all four directions.
        for dx, dy in ((45, 0), (-45, 0), (0, 45), (0, -45)):
            colour = drawn[round((y + dy) * zoom), round((x + dx) * zoom)]
            assert colour[0] > 220
            assert colour[1] > colour[2] > 0
            assert colour[1] - pink[1] > 20
        for dx, dy in ((330, 0), (-330, 0), (0, 330), (0, -330)):
            assert not changed[round((y + dy) * zoom), round((x + dx) * zoom)]
    assert not changed[round(800 * zoom) : round(1600 * zoom), round(900 * zoom) : round(1700 * zoom)].any()


def test_rings_are_round_their_figures(analysis: Analysis) -> None:
    drawn, zoom = _slide_part(analysis)
    cyan = (drawn[..., 0] < 60) & (drawn[..., 1] > 200) & (drawn[..., 2] > 220)
    rows, columns = np.nonzero(cyan)
    for x, y in DOTS:
        near = (np.abs(columns - x * zoom) < 30) & (np.abs(rows - y * zoom) < 30)
        assert near.sum() > 40
        assert (columns[near].mean(), rows[near].mean()) == pytest.approx((x * zoom, y * zoom), abs=1.5)


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (3, 10), (9000, 40), (40, 9000), (250, 250)])
def test_slides_of_any_shape_are_drawn(size: tuple[int, int]) -> None:
    pixels = tissue(*size)
    plant(pixels, size[0] / 2, size[1] / 2)
    drawn = draw_map(score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), ScoringOptions(threshold=0.0)))
    assert drawn.width >= 620
    assert drawn.height >= 400
    assert max(drawn.size) < 1600


def test_glass_alone_is_drawn_and_says_so() -> None:
    empty = score_slide(ArraySlide(np.full((500, 700, 3), 250, np.uint8), mpp=0.25), DotDetector())
    assert draw_map(empty).width > 700
    words = " ".join(line.text for line in header_lines(empty.report, 900))
    assert "no tissue" in words
    assert any("Warning" in line.text for line in footer_lines(empty.report, 900))


def test_a_roi_is_outlined() -> None:
    slide = ArraySlide(tissue(1200, 1000), mpp=0.25)
    roi = ScoringOptions(roi=parse_roi("[[100,100],[1100,100],[600,900]]"))
    whole, limited = (np.asarray(draw_map(score_slide(slide, DotDetector(), o))) for o in (ScoringOptions(), roi))
    assert (whole != limited).any()


@pytest.mark.parametrize("name", ["a" * 400 + ".svs", "W" * 90, "x.svs", "/" * 200])
def test_no_word_leaves_the_page(analysis: Analysis, name: str) -> None:
    slide = analysis.report.slide.model_copy(update={"name": name})
    report = analysis.report.model_copy(update={"slide": slide, "warnings": ["word " * 60, "w" * 500]})
    page = np.asarray(draw_map(Analysis(report, analysis.mitosis_map, analysis.overview)))
    assert (page[:, -PAD // 2 :] == 255).all()
    assert (page[:, : PAD // 2] == 255).all()
    assert (page[-6:] == 255).all()


def test_research_use_is_said_last(analysis: Analysis) -> None:
    assert footer_lines(analysis.report, 900)[-1].text == analysis.report.research_use
