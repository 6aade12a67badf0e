"""`score_slide` on slides whose figures are known: cascade, counts, report."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import parse_roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.scoring import batch_sizes, cascade
from serving.scoring.pipeline import DEFAULTS, score_slide
from serving.scoring.tile_findings import TileFindings
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_cards, plant, tissue

DOTS = [(300.0, 300.0), (1000.0, 500.0), (1000.0, 1000.0), (1730.0, 1200.0), (400.0, 1400.0)]
"""Two of them on seams of tiles."""


def _pixels() -> NDArray[np.uint8]:
    pixels = tissue(1800, 1500)
    for x, y in DOTS:
        plant(pixels, x, y)
    return pixels


def _slide(name: str = "array") -> ArraySlide:
    return ArraySlide(_pixels(), mpp=0.25, name=name)


def _report(options: ScoringOptions = DEFAULTS, detector: DotDetector | None = None) -> Report:
    return score_slide(_slide(), detector or DotDetector(), options).report


def _lasting(report: Report) -> dict[str, Any]:
    """Everything but what may differ from one run to the next."""
    kept = report.model_dump()
    del kept["timing"], kept["software"]["started_at"]
    return kept


def test_each_dot_is_found_where_it_is() -> None:
    report = _report()
    found = sorted((d.x + d.width / 2, d.y + d.height / 2) for d in report.detections)
    assert np.allclose(found, sorted(DOTS), atol=1)
    assert all(d.probability > 0.9 for d in report.detections)
    inner = [d for d in report.detections if 250 <= d.x <= 1550 and 250 <= d.y <= 1250]
    assert len(inner) == 3
    assert all(d.score == pytest.approx(1) for d in inner)


def test_counts_of_tiles_add_up_to_the_slides() -> None:
    report = _report()
    assert report.counts.mitotic_figures == len(DOTS)
    assert sum(t.mitotic_count for t in report.tiles) == len(DOTS)
    by_tile = {(t.x, t.y): t.mitotic_count for t in report.tiles}
    assert by_tile == {(0, 0): 1, (1000, 0): 1, (0, 1000): 1, (1000, 1000): 2}


def test_counts_add_up_where_a_figure_lies_in_a_tile_that_is_not_scored() -> None:
    pixels = np.full((1000, 2000, 3), 245, np.uint8)
    pixels[:, :1030] = tissue(1030, 1000)
    plant(pixels, 1014, 500)
    report = score_slide(ArraySlide(pixels, mpp=0.25), DotDetector()).report
    assert [(t.x, t.mitotic_count) for t in report.tiles] == [(0, 1)]
    assert report.counts.mitotic_figures == 1


def test_densities_are_counts_over_areas() -> None:
    report = _report()
    assert report.counts.tissue_area_mm2 == pytest.approx(1800 * 1500 * 0.25**2 / 1e6, rel=0.01)
    assert report.counts.per_mm2 == pytest.approx(len(DOTS) / report.counts.tissue_area_mm2, rel=1e-3)
    assert report.hotspots[0].mitotic_figures == len(DOTS)


def test_tile_scores_are_seven_by_seven_and_null_outside_the_slide() -> None:
    report = _report()
    for tile in report.tiles:
        assert [len(row) for row in tile.scores] == [7] * 7
        shown = [[tile.x + c * 125 < 1800 and tile.y + r * 125 < 1500 for c in range(7)] for r in range(7)]
        assert [[score is not None for score in row] for row in tile.scores] == shown
        assert tile.max_score == max(score for row in tile.scores for score in row if score is not None)
    assert report.tiles[0].scores[1][1] == pytest.approx(1)
    assert report.tiles[0].scores[6][0] == 0


def test_the_same_input_gives_the_same_report() -> None:
    first, second = _report(), _report()
    assert _lasting(first) == _lasting(second)
    assert Report.model_validate_json(first.model_dump_json()) == first
    assert "NaN" not in json.dumps(_lasting(first))


def test_the_id_ignores_the_name_and_follows_everything_else() -> None:
    same = score_slide(_slide("other.png"), DotDetector()).report
    assert same.analysis_id == _report().analysis_id
    cards = make_cards(screening=0.2)
    others = [
        _report(ScoringOptions(cascade="off")),
        _report(ScoringOptions(threshold=0.4)),
        _report(ScoringOptions(mpp=0.26)),
        _report(ScoringOptions(mpp=0.25)),  # changes mpp_source and the warnings
        _report(ScoringOptions(roi=parse_roi("0,0,500,500"))),
        _report(ScoringOptions(min_tissue_fraction=0.2)),
        _report(ScoringOptions(qc="exclude")),
        _report(ScoringOptions(qc="off")),
        _report(detector=DotDetector(cards[0], cards[1])),
        score_slide(ArraySlide(tissue(1800, 1500), mpp=0.25), DotDetector()).report,
    ]
    assert len({same.analysis_id, *(r.analysis_id for r in others)}) == 1 + len(others)


def test_the_cascade_looks_where_scores_pass_and_nowhere_else() -> None:
    few, every = DotDetector(), DotDetector()
    _report(detector=few)
    off = _report(ScoringOptions(cascade="off"), every)
    assert 0 < few.detected <= 9 * len(DOTS)  # a dot on the crossing of blocks is in 3 x 3 windows
    assert every.detected == 16 * 13  # all windows of the lattice that show any of 1800 x 1500 px
    assert off.counts.mitotic_figures == len(DOTS)
    assert off.models[0].thresholds == {}
    assert _report().models[0].thresholds == {"screening": 0.05}


def test_det_sees_full_batches_of_one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Noted(DotDetector):
        def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
            sizes.append(len(sub_tiles))
            return DotDetector.detect(self, sub_tiles)

    monkeypatch.setattr(batch_sizes, "DETECT_BATCH", 7)
    tiles: list[TileFindings] = []
    score_slide(_slide(), Noted(), on_finished=tiles.extend)
    wanted = [[7] * (len(tile.looked) // 7) + [len(tile.looked) % 7] for tile in tiles]
    assert any(len(batches) > 1 for batches in wanted)
    assert sizes == [size for batches in wanted for size in batches if size]


@pytest.mark.parametrize("batch", [1, 5, 1000])
def test_the_batch_size_changes_nothing(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    usual = _lasting(_report())
    monkeypatch.setattr(batch_sizes, "DETECT_BATCH", batch)
    assert _lasting(_report()) == usual


def test_the_threshold_is_the_callers_or_the_cards() -> None:
    pixels = tissue(600, 600)
    plant(pixels, 300, 300, side=18)  # probability 18 * 18 / (24 * 24), .56
    slide = ArraySlide(pixels, mpp=0.25)
    assert score_slide(slide, DotDetector()).report.counts.mitotic_figures == 1
    strict = score_slide(slide, DotDetector(), ScoringOptions(threshold=0.6)).report
    assert strict.counts.mitotic_figures == 0
    assert strict.hotspots == []
    assert strict.models[1].thresholds == {"detection": 0.6}


def test_the_roi_limits_figures_exactly() -> None:
    report = _report(ScoringOptions(roi=parse_roi("[[0,0],[1100,0],[1100,700],[0,700]]")))
    assert report.counts.mitotic_figures == 2
    assert sum(t.mitotic_count for t in report.tiles) == 2
    assert report.settings.roi == [(0, 0), (1100, 0), (1100, 700), (0, 700)]
    assert report.tissue.tiles_total == 2
    hotspot = report.hotspots[0]
    assert (hotspot.x, hotspot.y, hotspot.width, hotspot.height) == (0, 0, 1100, 700)  # 2 mm2 are more than the roi
    assert report.counts.tissue_area_mm2 == pytest.approx(1100 * 700 * 0.25**2 / 1e6, rel=0.02)


def test_glass_gives_an_empty_report() -> None:
    report = score_slide(ArraySlide(np.full((500, 700, 3), 250, np.uint8), mpp=0.25), DotDetector()).report
    assert (report.tiles, report.detections, report.hotspots) == ([], [], [])
    assert report.counts.per_mm2 is None
    assert report.warnings


def test_the_map_holds_the_score_of_every_sub_tile_at_its_place() -> None:
    analysis = score_slide(_slide(), DotDetector())
    lattice = analysis.mitosis_map
    for x, y in DOTS:
        column, row = int((x - lattice.x) // lattice.step), int((y - lattice.y) // lattice.step)
        assert lattice.scores[row, column] > 0
    rows, columns = np.nonzero(lattice.scores >= 0.99)
    corners = np.stack([columns, rows], 1) * lattice.step + lattice.x
    # Sub-tiles that reach over the border see mirror pictures of dots too.
    inside = ((corners >= 0) & (corners + lattice.window <= (1800, 1500))).all(1)
    assert inside.any()
    centres = corners[inside] + lattice.window / 2
    nearest = np.abs(centres[:, None] - np.asarray(DOTS)).max(2).min(1)
    assert nearest.max() <= lattice.window / 2
    for tile in analysis.report.tiles:
        column, row = round((tile.x - lattice.x) / lattice.step), round((tile.y - lattice.y) / lattice.step)
        expected = np.asarray(tile.scores, np.float32)
        assert np.allclose(lattice.scores[row : row + 7, column : column + 7], expected, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_run_that_goes_on_gives_what_an_undisturbed_one_gives(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", chunk)
    usual = _report()
    kept: list[TileFindings] = []
    ends: list[int] = []

    def keep(tiles: Sequence[TileFindings]) -> None:
        kept.extend(tiles)
        ends.append(len(kept))

    score_slide(_slide(), DotDetector(), on_finished=keep)
    for end in ends:
        again = DotDetector()
        steps: list[tuple[int, int]] = []
        more: list[TileFindings] = []
        resumed = score_slide(
            _slide(),
            again,
            finished=kept[:end],
            on_finished=more.extend,
            on_progress=lambda *step, steps=steps: steps.append(step),
        )
        assert _lasting(resumed.report) == _lasting(usual)
        assert steps == [(n, 4) for n in range(end, 5)]
        assert len(more) == 4 - end
        assert (again.screened == 0) == (end == 4)


def test_finished_tiles_of_another_plan_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[TileFindings] = []
    score_slide(_slide(), DotDetector(), on_finished=kept.extend)
    with pytest.raises(ValueError, match="not the first ones"):
        score_slide(_slide(), DotDetector(), ScoringOptions(roi=parse_roi("1200,0,500,500")), finished=kept)
    with pytest.raises(ValueError, match="no whole chunks"):
        score_slide(_slide(), DotDetector(), finished=kept[:2])
    monkeypatch.setattr(cascade, "CHUNK_TILES", 2)
    assert score_slide(_slide(), DotDetector(), finished=kept[:2]).report.counts.mitotic_figures == len(DOTS)


def test_no_batch_reaches_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NDArray[np.uint8]] = []

    class Noted(DotDetector):
        def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
            seen.append(sub_tiles)
            return DotDetector.detect(self, sub_tiles)

    monkeypatch.setattr(cascade, "CHUNK_TILES", 2)
    kept: list[TileFindings] = []
    score_slide(_slide(), Noted(), on_finished=kept.extend)
    whole, seen[:] = list(seen), []
    score_slide(_slide(), Noted(), finished=kept[:2])
    assert 0 < len(seen) < len(whole)
    for resumed, undisturbed in zip(reversed(seen), reversed(whole), strict=False):
        assert np.array_equal(resumed, undisturbed)
