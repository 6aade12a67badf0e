"""A verifier's word and Det's make one probability, for candidates only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.scoring.batch_sizes import VERIFY_BATCH
from serving.scoring.detector import counting_threshold, list_cards
from serving.scoring.pipeline import score_slide
from serving.scoring.verification import CROWDED, pool_probabilities, verify_candidates
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DOT_PX, DotDetector, make_cards, make_verifier_card, plant, tissue

_PROBABILITIES = st.floats(0, 1, width=32)


def _candidates(*centres: tuple[float, float], probabilities: list[float]) -> Detections:
    half = DOT_PX / 2
    boxes = np.asarray([(x - half, y - half, x + half, y + half) for x, y in centres], np.float32)
    return Detections(boxes, np.asarray(probabilities, np.float32), np.ones(len(boxes), np.float32))


def _slide(*dots: tuple[float, float]) -> ArraySlide:
    pixels = tissue(600, 500)
    for x, y in dots:
        plant(pixels, x, y)
    return ArraySlide(pixels, mpp=0.25, name="dots")


def _frame() -> WorkFrame:
    return WorkFrame.from_mpp(0.25, 0.25)


def test_candidates_get_the_joint_probability_and_keep_their_boxes() -> None:
    detector = DotDetector(verification_card=make_verifier_card())
    found = _candidates((100, 100), (300, 300), probabilities=[0.3, 0.9])
    assert detector.verification_card is not None
    judged = verify_candidates(found, _slide((100, 100)), _frame(), detector, detector.verification_card)
    np.testing.assert_array_equal(judged.boxes, found.boxes)
    verified = np.asarray([1.0, 0.0], np.float32)  # a whole dot in the middle, and none
    np.testing.assert_allclose(judged.probabilities, pool_probabilities(found.probabilities, verified))
    assert judged.probabilities[0] > found.probabilities[0]
    assert judged.probabilities[1] < found.probabilities[1]


@given(_PROBABILITIES, _PROBABILITIES)
def test_the_joint_probability_lies_between_and_asks_both_alike(one: float, other: float) -> None:
    first, second = np.asarray([one], np.float32), np.asarray([other], np.float32)
    joint = float(pool_probabilities(first, second)[0])
    assert min(one, other) - 2e-4 <= joint <= max(one, other) + 2e-4
    assert joint == pytest.approx(float(pool_probabilities(second, first)[0]))


@given(_PROBABILITIES, _PROBABILITIES, st.floats(0, 1))
def test_a_share_moves_the_joint_probability_from_one_to_the_other(one: float, other: float, share: float) -> None:
    first, second = np.asarray([one], np.float32), np.asarray([other], np.float32)
    joint = float(pool_probabilities(first, second, share)[0])
    assert min(one, other) - 2e-4 <= joint <= max(one, other) + 2e-4
    assert float(pool_probabilities(first, second, 1.0)[0]) == pytest.approx(one, abs=2e-4)
    assert float(pool_probabilities(first, second, 0.0)[0]) == pytest.approx(other, abs=2e-4)
    assert joint == pytest.approx(float(pool_probabilities(second, first, 1 - share)[0]), abs=1e-6)


def test_the_verifiers_card_states_how_much_det_has_to_say() -> None:
    card = make_verifier_card().model_copy(update={"detector_share": 0.25})
    detector = DotDetector(verification_card=card)
    found = _candidates((100, 100), probabilities=[0.3])
    judged = verify_candidates(found, _slide((100, 100)), _frame(), detector, card)
    np.testing.assert_allclose(
        judged.probabilities, pool_probabilities(found.probabilities, np.ones(1, np.float32), 0.25)
    )
    with pytest.raises(ValueError, match="detector_share is a verifier's"):
        ModelCard.model_validate({**make_cards()[1].model_dump(), "detector_share": 0.25})


def test_equal_odds_for_and_against_give_one_half() -> None:
    first, second = np.asarray([0.9, 0.2, 0.0], np.float32), np.asarray([0.1, 0.8, 1.0], np.float32)
    np.testing.assert_allclose(pool_probabilities(first, second), 0.5, atol=1e-6)


def test_what_det_all_but_excludes_is_no_candidate() -> None:
    detector = DotDetector(verification_card=make_verifier_card(candidate=0.2))
    found = _candidates((100, 100), (300, 300), probabilities=[0.1, 0.9])
    assert detector.verification_card is not None
    judged = verify_candidates(found, _slide(), _frame(), detector, detector.verification_card)
    assert (len(judged), detector.verified) == (1, 1)


def test_more_candidates_than_a_batch_are_all_judged() -> None:
    places = [(40.0 + 12 * i, 60.0) for i in range(VERIFY_BATCH + 3)]
    detector = DotDetector(verification_card=make_verifier_card())
    assert detector.verification_card is not None
    found = _candidates(*places, probabilities=[0.5] * len(places))
    judged = verify_candidates(found, _slide(), _frame(), detector, detector.verification_card)
    assert len(judged) == detector.verified == len(places)


def test_no_candidates_need_no_verifier() -> None:
    detector = DotDetector(verification_card=make_verifier_card())
    assert detector.verification_card is not None
    judged = verify_candidates(Detections.empty(), _slide(), _frame(), detector, detector.verification_card)
    assert (len(judged), detector.verified) == (0, 0)


@pytest.mark.parametrize(("threshold", "counted"), [(0.5, 1), (1.0, 0)])
def test_the_last_card_counts_and_the_report_names_all_models(threshold: float, counted: int) -> None:
    detector = DotDetector(verification_card=make_verifier_card(detection=threshold))
    pixels = tissue(600, 500)
    # A dot that fills the verifier's idea of one to 81 %.
    plant(pixels, 300, 250, side=round(0.9 * DOT_PX))
    report = score_slide(ArraySlide(pixels, mpp=0.25, name="dot"), detector, ScoringOptions()).report
    assert report.counts.mitotic_figures == counted
    assert counting_threshold(list_cards(detector)) == threshold
    assert [m.thresholds for m in report.models] == [{"screening": 0.05}, {"candidate": 0.1}, {"detection": threshold}]
    assert [card.name for card in list_cards(detector)] == ["reg-ns", "det", "verifier"]


class SeeingDetector(DotDetector):
    """Its opinion of a window is a number that depends on every pixel."""

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        weights = np.random.default_rng(1).random(windows[0].size).astype(np.float32)
        mean = windows.reshape(len(windows), -1).astype(np.float32) @ weights / weights.sum()
        return np.asarray((mean - 110) / 35, np.float32).clip(0, 1)


def test_crowded_candidates_are_seen_as_each_would_be_alone() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (700, 2300, 3), dtype=np.uint8)
    slide, card = ArraySlide(pixels, mpp=0.25, name="noise"), make_verifier_card()
    detector = SeeingDetector(verification_card=card)
    places = np.random.default_rng(4).uniform((0, 0), (2300, 700), (6 * CROWDED, 2)).tolist()
    places += [[2, 3], [2298, 699]]
    found = _candidates(*[(x, y) for x, y in places], probabilities=[0.5] * len(places))
    together = verify_candidates(found, slide, _frame(), detector, card).probabilities
    alone = [
        verify_candidates(found[i : i + 1], slide, _frame(), detector, card).probabilities for i in range(len(places))
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5)
    assert len(np.unique(together)) > len(places) / 2
