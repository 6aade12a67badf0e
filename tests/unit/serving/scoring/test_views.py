"""A verifier is shown a window turned and mirrored, and in a fast analysis once where that says enough."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.report_parts import CascadeMode
from serving.scoring.pipeline import score_slide
from serving.scoring.verification import verify_candidates
from serving.scoring.views import average_views, turn_and_mirror
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DOT_PX, GIVEN, TriagedDots, make_cards, make_verifier_card, plant, tissue

SIDE = 5


def _windows(seed: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def _judge(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Depends on every pixel and its place; close to 0 and 1 too."""
    weights = np.random.default_rng(1).normal(size=SIDE * SIDE * 3)
    logits = windows.reshape(-1, SIDE * SIDE * 3).astype(np.float64) @ weights / 60
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


@given(st.integers(0, 1000), st.integers(0, 4))
def test_eight_views_are_the_symmetries_of_the_square_and_the_first_is_the_window(seed: int, count: int) -> None:
    windows = _windows(seed, count)
    views = list(turn_and_mirror(windows))
    np.testing.assert_array_equal(views[0], windows)
    if count:
        turned = {np.rot90(windows[0], k).tobytes() for k in range(4)}
        mirrored = {np.rot90(windows[0][:, ::-1], k).tobytes() for k in range(4)}
        assert {view[0].tobytes() for view in views} == turned | mirrored


@given(st.integers(0, 1000), st.integers(0, 7))
def test_what_eight_views_say_does_not_depend_on_how_the_window_lies(seed: int, which: int) -> None:
    windows = _windows(seed, 3)
    turned = list(turn_and_mirror(windows))[which]
    np.testing.assert_allclose(average_views(turned, _judge), average_views(windows, _judge), atol=1e-6)


def test_the_mean_of_the_logits_counts_and_a_view_that_is_sure_is_no_infinity() -> None:
    said = iter([0.0, 1.0, *[0.5] * 6])
    found = average_views(_windows(0, 2), lambda view: np.full(len(view), next(said), np.float32))
    np.testing.assert_allclose(found, 0.5, atol=1e-6)
    assert len(average_views(_windows(0, 0), _judge)) == 0


def _candidates(places: list[tuple[float, float]], said: float) -> Detections:
    half = DOT_PX / 2
    boxes = np.asarray([(x - half, y - half, x + half, y + half) for x, y in places], np.float32)
    return Detections(boxes, np.full(len(boxes), said, np.float32), np.ones(len(boxes), np.float32))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(0.2, 0.8))
def test_unlikely_candidates_are_shown_once_and_the_others_have_what_all_views_give(
    dots: list[bool], first: float
) -> None:
    places = [(60.0 + 60 * n, 100.0 + 30 * (n % 3)) for n in range(len(dots))]
    pixels = tissue(900, 300)
    for (x, y), is_dot in zip(places, dots, strict=True):
        if is_dot:
            plant(pixels, x, y)
    slide, frame = ArraySlide(pixels, mpp=0.25, name="dots"), WorkFrame.from_mpp(0.25, 0.25)
    card = make_verifier_card(first=first)
    detector, thorough = TriagedDots(verification_card=card), TriagedDots(verification_card=card)
    found = verify_candidates(_candidates(places, 0.5), slide, frame, detector, card, fast=True)
    exact = verify_candidates(_candidates(places, 0.5), slide, frame, thorough, card)
    assert (detector.verified_once, detector.verified) == (len(dots), sum(dots))
    assert (thorough.verified_once, thorough.verified) == (0, len(dots))
    np.testing.assert_array_equal(found.boxes, exact.boxes)
    np.testing.assert_array_equal(found.probabilities[dots], exact.probabilities[dots])
    assert (found.probabilities[np.logical_not(dots)] < first).all()


@pytest.mark.parametrize(
    ("cascade", "first", "once"), [("fast", 0.5, True), ("exact", 0.5, False), ("fast", None, False)]
)
def test_only_a_fast_analysis_by_a_verifier_of_one_view_asks_it_once(
    cascade: CascadeMode, first: float | None, once: bool
) -> None:
    pixels = tissue(600, 500)
    plant(pixels, 300, 250)
    detector = TriagedDots(verification_card=make_verifier_card(first=first))
    report = score_slide(ArraySlide(pixels, mpp=0.25, name="dot"), detector, ScoringOptions(cascade=cascade)).report
    assert report.counts.mitotic_figures == 1
    assert (detector.verified_once > 0, detector.verified > 0) == (once, True)


def test_views_are_stated_by_verifiers_alone() -> None:
    screening, _ = make_cards()
    views = {"views": {"count": 8, "first_probability": 0.1, **GIVEN}}
    with pytest.raises(ValueError, match="views are a verifier's"):
        ModelCard.model_validate(screening.model_dump() | views)
    assert ModelCard.model_validate(make_verifier_card().model_dump() | views).views is not None
