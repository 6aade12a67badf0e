"""Reg-NS and Det look where the light net chose, and the map says which model a number is of."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.comparison.pair import compare
from serving.comparison.summary import summarise
from serving.core.errors import RequestError
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.drift.statistics import collect_statistics
from serving.scoring import cascade
from serving.scoring.analysis import Analysis
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.pipeline import score_slide
from serving.scoring.report_identity import answers
from serving.scoring.tile_findings import TileFindings
from serving.scoring.triage import MOST_PIECES, Piece, choose_sub_tiles, find_pieces, screen_chosen, triage_tiles
from serving.slides.arrayslide import ArraySlide
from tests.fakes import CELL, DotDetector, TriagedDots, make_cards, make_triage_card, plant, tissue

FAST = ScoringOptions(cascade="fast")
REG_NS = make_cards()[0].input
ONE_BY_ONE = choose_batch_sizes("CPUExecutionProvider")


def _score(pixels: NDArray[np.uint8], detector: DotDetector, options: ScoringOptions = FAST) -> Analysis:
    return score_slide(ArraySlide(pixels, mpp=0.25), detector, options)


def _places(report: Report) -> list[tuple[float, float]]:
    return [(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections]


def test_a_fast_analysis_finds_the_same_and_looks_at_little() -> None:
    pixels = tissue(3000, 2000)
    for x, y in ((437, 937), (1400, 310), (2000, 1000), (2990, 1990)):
        plant(pixels, x, y)
    exact, fast = DotDetector(), TriagedDots()
    everywhere, chosen = _score(pixels, exact, ScoringOptions()), _score(pixels, fast)
    assert _places(chosen.report) == _places(everywhere.report)
    assert fast.triaged == 6
    assert exact.screened == 6 * 64 + 3 * 8 + 2 * 8 + 1
    # The cells of a dot at the border of two middles are shown well by one sub-tile.
    assert 4 <= fast.screened <= 4 * 2
    assert chosen.report.tissue.sub_tiles == exact.screened
    assert chosen.report.tissue.sub_tiles_screened == fast.screened
    assert fast.detected == fast.screened


def test_a_tile_of_which_many_sub_tiles_are_chosen_is_screened_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 1250, 1250, 3), np.uint8)
    detector, shown = TriagedDots(), np.ones((1, 9, 9), np.bool_)
    whole = detector.screen(pixels)
    # Of 100 blocks: pieces of three by three have 16, and a row of what is left 4 to 8.
    for every, most_looked in ((200, 1), (20, 5), (5, 81), (1, 81)):
        chosen = (np.arange(81) % every == 0).reshape(1, 9, 9)
        before = detector.screened
        scores = screen_chosen(detector, pixels, chosen, shown, REG_NS)
        cost = sum(piece.blocks for piece in find_pieces(chosen[0]))
        assert (detector.screened - before == 81) == (cost > MOST_PIECES * 100 or every == 1)
        assert detector.screened - before <= most_looked
        assert np.array_equal(scores, np.where(chosen, whole, np.float32(np.nan)), equal_nan=True)


def test_neighbours_are_shown_in_one_piece() -> None:
    chosen = np.zeros((8, 9), np.bool_)
    assert find_pieces(chosen) == []
    chosen[2:4, 3:6] = True
    chosen[7, 0] = chosen[6, 1] = True
    pieces = find_pieces(chosen)
    # One costs 12 blocks for six; two that touch at a corner cost 9 together and 8 apart.
    assert pieces == [Piece(2, 3, 2, 3), Piece(6, 1, 1, 1), Piece(7, 0, 1, 1)]
    assert len(find_pieces(chosen, 1)) == chosen.sum()


def test_a_place_that_two_middles_share_is_looked_at_once() -> None:
    hot, shown = np.zeros((36, 36), np.bool_), np.ones((8, 8), np.bool_)
    # Centres at 176 and 208 px, on both sides of the border at 187.5: either sub-tile shows both well.
    hot[5, 5:7] = True
    assert np.argwhere(choose_sub_tiles(hot, shown, CELL, REG_NS)).tolist() == [[0, 0]]
    shown[0, 0] = False
    assert np.argwhere(choose_sub_tiles(hot, shown, CELL, REG_NS)).tolist() == [[0, 1]]
    # Centres at 112 and 240 px are too far apart for one.
    shown[0, 0] = True
    hot[5, 3:8] = True
    assert choose_sub_tiles(hot, shown, CELL, REG_NS).sum() == 2


@dataclass(slots=True)
class WatchedDots(TriagedDots):
    """Keeps the shapes of what Reg-NS was shown."""

    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.shapes.append(tiles.shape)
        return DotDetector.screen(self, tiles)


@pytest.mark.parametrize(
    ("provider", "shapes"),
    [
        ("CPUExecutionProvider", [(1, 250, 500, 3), (1, 250, 250, 3)]),
        ("CUDA-fp16", [(4, 250, 250, 3)]),
    ],
)
def test_a_gpu_is_shown_sub_tiles_by_themselves(provider: str, shapes: list[tuple[int, ...]]) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (1, 1125, 1125, 3), np.uint8)
    chosen = np.zeros((1, 8, 8), np.bool_)
    chosen[0, 1, 1:4] = chosen[0, 6, 6] = True
    detector = WatchedDots(provider=provider)
    screen_chosen(detector, tiles, chosen, np.ones_like(chosen), REG_NS)
    assert detector.shapes == shapes


def test_tiles_of_a_batch_are_looked_at_each_by_its_own_choice() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (3, 1125, 1250, 3), np.uint8)
    for n, (x, y) in enumerate(((100, 100), (700, 900), (400, 400))):
        plant(tiles[n], x, y)
    light, chosen = triage_tiles(TriagedDots(), tiles, np.ones((3, 8, 9), np.bool_), 0.2, REG_NS)
    assert light.shape == chosen.shape == (3, 8, 9)
    assert (light[chosen] >= 0.2).all()
    assert chosen[0, 0, 0]
    assert chosen[1, 6, 5]
    chosen[2] = True
    detector, shown = TriagedDots(), np.ones_like(chosen)
    together = screen_chosen(detector, tiles, chosen, shown, REG_NS)
    apart = [screen_chosen(detector, tiles[n : n + 1], chosen[n : n + 1], shown[:1], REG_NS)[0] for n in range(3)]
    assert np.array_equal(together, np.stack(apart), equal_nan=True)


def test_where_reg_ns_did_not_look_the_map_holds_the_light_nets_word_alone() -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 500, 500)
    analysis = _score(pixels, TriagedDots())
    lattice, report = analysis.mitosis_map, analysis.report
    assert lattice.triage is not None
    looked = np.isfinite(lattice.scores)
    assert np.argwhere(looked).tolist() == [[4, 4]]
    assert np.isnan(lattice.triage[looked]).all()
    assert (lattice.triage[~looked & np.isfinite(lattice.triage)] < 0.2).all()
    assert np.isfinite(lattice.combine()).sum() == report.tissue.sub_tiles
    assert report.tissue.sub_tiles_screened == 1
    lines = [pair for tile in report.tiles for pair in zip(tile.scores, tile.triage or [], strict=True)]
    places = [pair for scores, light in lines for pair in zip(scores, light, strict=True)]
    assert all(s is None or t is None for s, t in places)
    assert sum(s is not None for s, _ in places) == 1
    assert [tile.max_score for tile in report.tiles] == [pytest.approx(1.0), 0.0, 0.0, 0.0]
    assert report.counts.expected is not None
    assert "where triage chose" in report.counts.expected.note


def test_the_mode_is_in_the_report_and_its_identity() -> None:
    pixels = tissue(1000, 1000)
    plant(pixels, 500, 500)
    detectors = [TriagedDots(), TriagedDots(triage_card=make_triage_card(threshold=0.1))]
    fast, other = (_score(pixels, detector).report for detector in detectors)
    exact, without = (_score(pixels, d, ScoringOptions()).report for d in (detectors[0], DotDetector()))
    assert (fast.settings.cascade_mode, exact.settings.cascade_mode) == ("fast", "exact")
    assert (fast.models[0].name, fast.models[0].thresholds) == ("triage", {"triage": 0.2})
    assert fast.map_model == exact.models[0]
    assert exact.analysis_id == without.analysis_id
    assert len({report.analysis_id for report in (fast, other, exact)}) == 3
    assert fast.timing.triage_s is not None
    assert exact.timing.triage_s is None
    assert exact.tiles[0].triage is None
    cards = [detectors[0].triage_card, *make_cards()]
    assert answers(fast, FAST, [card for card in cards if card is not None])
    assert not answers(fast, ScoringOptions(), [card for card in cards if card is not None])
    assert fast.triage_words is not None
    assert exact.triage_words is None


@pytest.mark.parametrize("detector", [DotDetector(), TriagedDots(triage_card=None)])
def test_without_a_light_net_no_analysis_is_fast(detector: DotDetector) -> None:
    with pytest.raises(
        RequestError, match=r"needs a triage model, and the models have none \(reg-ns 0.0.1, det 0.0.1\)"
    ):
        _score(tissue(300, 300), detector)


def test_scores_of_chosen_places_are_no_statistics_of_a_slide() -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 500, 500)
    fast, exact = (_score(pixels, TriagedDots(), options) for options in (FAST, ScoringOptions()))
    assert collect_statistics(fast) is None
    assert collect_statistics(exact) is not None
    pair = compare(fast, exact, thresholds=(0.5, 0.5))
    assert pair.matched == 1
    assert (pair.first.mean_score, sum(pair.first.scores)) == (None, 0)
    assert sum(pair.second.scores) == pytest.approx(1)
    assert summarise([pair]).scores.population_stability is None


def test_a_fast_run_that_goes_on_gives_what_an_undisturbed_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "CHUNK_TILES", 2)
    pixels = tissue(2700, 1900)
    for x, y in ((437, 937), (1400, 310), (2000, 1000)):
        plant(pixels, x, y)
    slide, kept = ArraySlide(pixels, mpp=0.25), list[TileFindings]()
    usual = score_slide(slide, TriagedDots(), FAST, on_finished=kept.extend)
    for done in (2, 4, 6):
        detector = TriagedDots()
        resumed = score_slide(slide, detector, FAST, finished=kept[:done])
        assert detector.triaged == 6 - done
        varying = {"timing", "software"}
        assert resumed.report.model_dump(exclude=varying) == usual.report.model_dump(exclude=varying)
        for plane in ("scores", "triage"):
            again, once = (getattr(one.mitosis_map, plane) for one in (resumed, usual))
            assert np.array_equal(again, once, equal_nan=True)


def test_a_light_net_changes_nothing_of_an_exact_analysis() -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 500, 500)
    with_net, without = TriagedDots(), DotDetector()
    reports = [_score(pixels, detector, ScoringOptions()).report for detector in (with_net, without)]
    varying = {"timing", "software"}
    assert reports[0].model_dump(exclude=varying) == reports[1].model_dump(exclude=varying)
    assert (with_net.triaged, with_net.screened) == (0, without.screened)


@pytest.mark.parametrize("at_once", [2, 3, 7])
def test_tiles_computed_at_once_give_what_they_give_one_after_the_other(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number, and the order in which tiles are handed out, whichever thread is quicker."""
    pixels = tissue(3100, 2100)
    for x, y in ((437, 937), (1400, 310), (2000, 1000), (2990, 1990), (30, 2050)):
        plant(pixels, x, y)
    slide = ArraySlide(pixels, mpp=0.25)
    results = []
    for number in (1, at_once):
        monkeypatch.setattr(cascade, "choose_batch_sizes", lambda _, n=number: replace(ONE_BY_ONE, light_tiles=n))
        results.append(_score_and_listen(slide))
    (first, order, steps), (second, *others) = results
    varying = {"timing", "software"}
    assert first.model_dump(exclude=varying) == second.model_dump(exclude=varying)
    assert [order, steps] == others
    assert steps == list(range(len(order) + 1))


def _score_and_listen(slide: ArraySlide) -> tuple[Report, list[tuple[int, int]], list[int]]:
    """The report, the cells of the tiles that were handed out, and how many were said to be done."""
    order: list[tuple[int, int]] = []
    steps: list[int] = []

    def note(tiles: Sequence[TileFindings]) -> None:
        order.extend(tile.patch.cell for tile in tiles)

    analysis = score_slide(slide, TriagedDots(), FAST, on_finished=note, on_progress=lambda done, _: steps.append(done))
    return analysis.report, order, steps
