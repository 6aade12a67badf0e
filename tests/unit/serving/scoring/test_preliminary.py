"""What is known while a slide is scored: coverage, and the fullest hotspot so far."""

import numpy as np
import pytest

from serving.core.options import CountingOptions, ScoringOptions
from serving.core.outlines import parse_outlines
from serving.scoring import cascade, order
from serving.scoring.pipeline import score_slide
from serving.scoring.preliminary import GROWTH, Preliminary
from serving.scoring.tile_findings import TileFindings
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_verifier_card, plant, tissue

OPTIONS = ScoringOptions(counting=CountingOptions(hotspot_area=0.1))


def _slide() -> ArraySlide:
    """Four times two tiles; cells, and three of the five dots, are in the lower right."""
    pixels = tissue(4000, 2000)
    pixels[1000:, 3000:] = (pixels[1000:, 3000:].astype(np.uint16) * 3 // 4).astype(np.uint8)
    for x, y in ((500, 500), (1500, 1500), (3300, 1300), (3500, 1500), (3700, 1700)):
        plant(pixels, x, y)
    return ArraySlide(pixels, mpp=0.25)


def test_the_hotspot_is_known_before_the_slide_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cascade, order):
        monkeypatch.setattr(module, "CHUNK_TILES", 1)
    monkeypatch.setattr(order, "AROUND_TILES", 1)  # a slide of eight tiles is one place
    known: list[Preliminary] = []
    report = score_slide(_slide(), DotDetector(), OPTIONS, on_preliminary=known.append).report
    assert [one.tiles_done for one in known] == list(range(1, 9))
    assert {one.tiles_total for one in known} == {8}
    shares = [one.tissue_share for one in known]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert shares[0] == pytest.approx(1 / 8, abs=0.01)
    counted = [one.tiles_counted for one in known]
    assert all(done <= seen * GROWTH + 1 for seen, done in zip(counted, range(1, 9), strict=True))
    found = next(one for one in known if one.hotspot is not None and one.hotspot.mitotic_figures == 3)
    assert found.tiles_done <= 2
    assert found.hotspot is not None
    final = report.hotspots[0]
    assert (found.hotspot.x, found.hotspot.y, found.hotspot.mitotic_figures) == (
        final.x,
        final.y,
        final.mitotic_figures,
    )
    assert report.counts.mitotic_figures == 5


def test_figures_that_do_not_count_are_not_in_it() -> None:
    known: list[Preliminary] = []
    square = [[[0, 0], [1000, 0], [1000, 1000], [0, 1000], [0, 0]]]
    exclude = parse_outlines({"type": "Polygon", "coordinates": square})
    options = OPTIONS.model_copy(update={"counting": CountingOptions(hotspot_area=0.1, exclude=exclude)})
    score_slide(_slide(), DotDetector(), options, on_preliminary=known.append)
    assert known[-1].mitotic_figures == 4


def test_a_verifier_speaks_at_the_end_alone() -> None:
    known: list[Preliminary] = []
    detector = DotDetector(verification_card=make_verifier_card(detection=1.0))
    score_slide(_slide(), detector, OPTIONS, on_preliminary=known.append)
    assert known[-1].mitotic_figures == 5


def test_a_run_that_goes_on_knows_what_the_first_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", 2)
    kept: list[TileFindings] = []
    usual: list[Preliminary] = []
    score_slide(_slide(), DotDetector(), OPTIONS, on_finished=kept.extend, on_preliminary=usual.append)
    resumed: list[Preliminary] = []
    score_slide(_slide(), DotDetector(), OPTIONS, finished=kept[:4], on_preliminary=resumed.append)
    assert [one.tiles_done for one in resumed] == [5, 6, 7, 8]
    assert resumed[-1] == usual[-1]


def test_the_hotspot_is_known_before_the_first_chunk_is() -> None:
    known: list[Preliminary] = []
    report = score_slide(_slide(), DotDetector(), OPTIONS, on_preliminary=known.append).report
    assert [one.tiles_done for one in known] == [1, 2, 3, 4, 5, 7, 8]
    assert all(one.tiles_counted == one.tiles_done for one in known)
    assert next(one.tiles_done for one in known if one.hotspot is not None) < order.CHUNK_TILES
    assert known[-1].mitotic_figures == report.counts.mitotic_figures == 5
    alone = score_slide(_slide(), DotDetector(), OPTIONS).report
    varying = {"timing", "software"}
    assert alone.model_dump(exclude=varying) == report.model_dump(exclude=varying)


def test_without_tissue_nothing_is_known() -> None:
    known: list[Preliminary] = []
    blank = ArraySlide(np.full((1200, 1200, 3), 245, np.uint8), mpp=0.25)
    score_slide(blank, DotDetector(), on_preliminary=known.append)
    assert known == []
