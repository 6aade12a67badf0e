"""What is in doubt after a fast analysis is looked at in all the sub-tiles of an exact one, and ends as it would there."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.core.report_parts import CascadeMode
from serving.scoring.merging import SubTileBoxes
from serving.scoring.pipeline import score_slide
from serving.scoring.second_look import SecondLook
from serving.scoring.verification import DOUBT, find_doubtful, pool_probabilities, verify_candidates
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DOT_PX, STRIDE, WINDOW, TriagedDots, make_verifier_card, plant, tissue

SIDE = 1500


@dataclass(slots=True)
class WaveringDots(TriagedDots):
    """Det's word of a dot, and where its box lies, depend on where the dot lies in the sub-tile; the verifier's is always the same."""

    said: float = 0.5

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """Likelier the further to the right, in a box that is off by up to 2 px."""
        found = []
        for dots in TriagedDots.detect(self, sub_tiles):
            across = dots.centres[:, 0] / WINDOW
            likely = np.asarray(dots.probabilities * (0.3 + 0.4 * across), np.float32)
            boxes = dots.boxes + np.asarray(4 * across - 2, np.float32)[:, None]
            found.append(replace(dots, boxes=boxes, probabilities=likely))
        return found

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Always the same."""
        self.verified += len(windows)
        return np.full(len(windows), self.said, np.float32)


def _score(pixels: NDArray[np.uint8], mode: CascadeMode, said: float) -> tuple[Report, WaveringDots]:
    detector = WaveringDots(verification_card=make_verifier_card(), said=said)
    slide = ArraySlide(pixels, mpp=0.25, name="dots")
    return score_slide(slide, detector, ScoringOptions(cascade=mode, threshold=0.01)).report, detector


def _list_found(report: Report) -> NDArray[np.float64]:
    rows = [(d.x, d.y, d.width, d.height, d.probability) for d in report.detections]
    return np.asarray(sorted(rows), np.float64).reshape(-1, 5)


_PLACES = st.lists(st.tuples(st.integers(20, SIDE - 20), st.integers(20, SIDE - 20)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=15)
@given(_PLACES)
def test_doubtful_candidates_end_as_in_an_exact_analysis(places: list[tuple[int, int]]) -> None:
    pixels = tissue(SIDE, SIDE)
    apart: list[tuple[int, int]] = []
    for x, y in places:
        if all(max(abs(x - a), abs(y - b)) > 3 * DOT_PX for a, b in apart):
            apart.append((x, y))
            plant(pixels, x, y)
    exact, _ = _score(pixels, "exact", 0.5)
    fast, detector = _score(pixels, "fast", 0.5)
    np.testing.assert_allclose(_list_found(fast), _list_found(exact), atol=0.02)
    assert fast.tissue.sub_tiles_screened is not None
    assert detector.detected >= fast.tissue.sub_tiles_screened


@pytest.mark.parametrize(("said", "again"), [(0.5, True), (0.999, False), (0.001, False)])
def test_only_what_is_in_doubt_is_looked_at_again(said: float, *, again: bool) -> None:
    pixels = tissue(SIDE, SIDE)
    # Near the edge of the sub-tile's middle in which it lies: four sub-tiles show it well.
    plant(pixels, 4 * STRIDE + STRIDE // 2, 4 * STRIDE + STRIDE // 2)
    report, detector = _score(pixels, "fast", said)
    assert report.tissue.sub_tiles_screened == 1
    assert (detector.detected > 1) == again
    assert len(report.detections) == 1


@pytest.mark.parametrize(("figure", "moved"), [(104.0, False), (107.0, True)])
def test_a_figure_that_another_candidate_is_nearer_to_is_not_counted_twice(figure: float, *, moved: bool) -> None:
    """Two candidates, 10 px apart: the second is in doubt, and all sub-tiles together show one figure between them."""
    detector, pixels = WaveringDots(), tissue(600, 600)
    plant(pixels, 300, 300)
    merged = _boxes((figure, 100.0), probability=0.9)
    nothing = np.empty(0, np.float32)
    look = SecondLook(
        ArraySlide(pixels, mpp=0.25, name="dots"),
        WorkFrame.from_mpp(0.25, 0.25),
        detector,
        detector.screening_card.input,
        -np.inf,
        SubTileBoxes(Detections.empty(), np.empty(0, np.int64), np.empty((0, 2), np.float32), nothing),
        lambda _: merged,
        8.0,
        lambda corners: np.ones(len(corners), np.bool_),
    )
    candidates = Detections.concatenate(
        [_boxes((100.0, 100.0), probability=0.8), _boxes((110.0, 100.0), probability=0.3)]
    )
    (found,) = look.look(candidates, np.asarray([False, True])).centres[:, 0].tolist()
    assert found == (figure if moved else 110.0)
    assert detector.screened > 0


def _boxes(centre: tuple[float, float], *, probability: float) -> Detections:
    x, y = centre
    box = np.asarray([[x - 12, y - 12, x + 12, y + 12]], np.float32)
    return Detections(box, np.full(1, probability, np.float32), np.zeros(1, np.float32))


@given(st.floats(0.001, 0.999), st.floats(0.05, 0.95))
def test_doubt_is_a_distance_in_log_odds_from_what_counts(joint: float, threshold: float) -> None:
    card = make_verifier_card(detection=threshold)
    apart = np.log(joint / (1 - joint)) - np.log(threshold / (1 - threshold))
    if abs(abs(apart) - DOUBT) > 1e-3:
        assert find_doubtful(np.asarray([joint], np.float32), card)[0] == (abs(apart) < DOUBT)


def test_a_candidate_that_does_not_move_is_not_verified_again() -> None:
    card, found = make_verifier_card(), _boxes((100.0, 100.0), probability=0.5)
    slide, frame = ArraySlide(tissue(300, 300), mpp=0.25, name="dots"), WorkFrame.from_mpp(0.25, 0.25)
    for moved, times in ((0.0, 1), (5.0, 2)):
        detector = WaveringDots(verification_card=card)
        again = _boxes((100.0 + moved, 100.0), probability=0.6)
        judged = verify_candidates(found, slide, frame, detector, card, look_again=lambda *_, seen=again: seen)
        assert detector.verified == times
        np.testing.assert_array_equal(judged.boxes, again.boxes)
        assert judged.probabilities[0] == pytest.approx(pool_probabilities(*np.asarray([[0.6], [0.5]], np.float32))[0])


def test_a_verifier_that_is_sure_leaves_no_doubt() -> None:
    joint = pool_probabilities(np.asarray([0.0, 1.0], np.float32), np.asarray([0.0, 1.0], np.float32))
    assert not find_doubtful(joint, make_verifier_card()).any()
