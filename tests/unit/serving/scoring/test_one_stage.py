"""A one-stage detector on its way through a slide: what is read, resumed, counted again and reported."""

import numpy as np
import pytest

from serving.core.card_parts import FigureCount
from serving.core.options import CountingOptions, ScoringOptions
from serving.scoring.pipeline import score_slide
from serving.scoring.plan import make_plan
from serving.scoring.recount import recount
from serving.scoring.report_identity import answers
from serving.scoring.tile_findings import TileFindings
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotsAlone, make_alone_card, plant, tissue

OPTIONS = ScoringOptions(qc="off")
DOTS = [(100, 140), (700, 650), (1203, 333), (1500, 1800)]


@pytest.fixture
def slide() -> ArraySlide:
    pixels = tissue(1801, 2001)
    for x, y in DOTS:
        plant(pixels, x, y)
    return ArraySlide(pixels, mpp=0.25)


def test_tiles_hold_whole_windows_and_are_read_with_half_the_overlap_around(slide: ArraySlide) -> None:
    plan = make_plan(slide, OPTIONS, make_alone_card(mpp=0.5, window=256, overlap=64).input)
    # 192 px from window to window, 96 um: three of them come nearest to 250 um.
    assert (plan.grid.tile_px, plan.tiling.blocks, plan.frame.work_mpp) == (576, 8, 0.5)
    first = plan.tiles[0].patch.region
    assert (first.x, first.y, first.width, first.height) == (-32, -32, 640, 640)


def test_no_window_is_seen_that_shows_nothing_of_the_slide(slide: ArraySlide) -> None:
    detector = DotsAlone()
    score_slide(slide, detector, OPTIONS)
    columns, rows = (-(-side // 2 // 192) for side in (1801 + 1, 2001 + 1))
    assert detector.seen == columns * rows


def test_a_slide_of_its_own_resolution_is_seen_in_its_own_pixels() -> None:
    plan = make_plan(ArraySlide(tissue(900, 900), mpp=0.52), OPTIONS, make_alone_card(mpp=0.5).input)
    assert plan.frame.scale == 1
    assert not plan.warnings


def test_a_coarser_slide_is_warned_of_by_the_detectors_resolution() -> None:
    card = make_alone_card(mpp=0.5)
    assert not make_plan(ArraySlide(tissue(900, 900), mpp=0.69), OPTIONS, card.input).warnings
    (warning,) = make_plan(ArraySlide(tissue(900, 900), mpp=0.71), OPTIONS, card.input).warnings
    assert "coarser than 0.7 and was enlarged to 0.5" in warning


def test_a_run_that_goes_on_gives_what_one_without_interruption_gives() -> None:
    pixels = tissue(3500, 3500)
    for x, y in DOTS:
        plant(pixels, 2 * x, y, side=12)
    slide = ArraySlide(pixels, mpp=0.5)
    chunks: list[list[TileFindings]] = []
    whole = score_slide(slide, DotsAlone(), OPTIONS, on_finished=lambda chunk: chunks.append(list(chunk))).report
    assert len(chunks) == 2
    detector = DotsAlone()
    again = score_slide(slide, detector, OPTIONS, finished=chunks[0]).report
    assert 0 < detector.seen < 18 * 18 / 2
    assert (again.detections, again.tiles) == (whole.detections, whole.tiles)
    assert whole.counts.mitotic_figures == len(DOTS)


def test_without_a_rule_for_its_probabilities_nothing_is_expected_also_when_counted_again(slide: ArraySlide) -> None:
    analysis = score_slide(slide, DotsAlone(), OPTIONS)
    again = recount(analysis, CountingOptions(hotspot_area=0.1))
    for report in (analysis.report, again.report):
        assert report.counts.expected is None
        assert report.counts.mitotic_figures == len(DOTS)
        assert [spot.expected_figures for spot in report.hotspots] == [None] * len(report.hotspots)
    assert again.report.hotspots


def test_its_card_may_state_how_to_count_probabilities(slide: ArraySlide) -> None:
    rule = FigureCount(factor=1.5, spread=0.1, how_chosen="by hand", data="none", achieved="not measured")
    report = score_slide(slide, DotsAlone(make_alone_card(figure_count=rule)), OPTIONS).report
    assert report.counts.expected is not None
    assert report.counts.expected.mitotic_figures == pytest.approx(1.5 * len(DOTS), rel=0.05)


def test_a_stored_report_is_known_again_by_its_card(slide: ArraySlide) -> None:
    detector = DotsAlone()
    report = score_slide(slide, detector, OPTIONS).report
    assert answers(report, OPTIONS, [detector.card])
    assert not answers(report, OPTIONS, [detector.card.model_copy(update={"version": "0.0.2"})])
    assert not answers(report, ScoringOptions(), [detector.card])


def test_focus_is_judged_in_pixels_for_which_it_is_known(slide: ArraySlide) -> None:
    options = ScoringOptions()
    coarse = score_slide(slide, DotsAlone(), options).report.quality
    fine = score_slide(slide, DotsAlone(make_alone_card(mpp=0.25)), options)
    assert coarse is not None
    assert coarse.unjudged_focus_mm2 == pytest.approx(1801 * 2001 * 0.25**2 / 1e6, rel=0.02)
    assert fine.report.quality is not None


def test_batches_are_no_larger_than_the_card_states(slide: ArraySlide) -> None:
    given: list[int] = []

    class Watching(DotsAlone):
        def find(self, windows: np.ndarray) -> list:  # type: ignore[type-arg]
            given.append(len(windows))
            return super().find(windows)

    card = make_alone_card()
    score_slide(slide, Watching(card.model_copy(update={"input": card.input.model_copy(update={"batch": 4})})), OPTIONS)
    assert max(given) == 4


def test_chunks_computed_at_once_give_what_tiles_one_by_one_give(slide: ArraySlide) -> None:
    one_by_one = score_slide(slide, DotsAlone(), OPTIONS)
    at_once = score_slide(slide, DotsAlone(provider="CUDAExecutionProvider"), OPTIONS)
    assert at_once.report.detections == one_by_one.report.detections
    assert at_once.report.tiles == one_by_one.report.tiles
    assert np.array_equal(at_once.mitosis_map.scores, one_by_one.mitosis_map.scores, equal_nan=True)
