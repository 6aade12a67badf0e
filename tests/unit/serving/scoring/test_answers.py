"""Whether a stored report is what scoring its slide again would give."""

from collections.abc import Callable
from pathlib import Path

import pytest

from serving.core.geometry import parse_roi
from serving.core.modelcard import ModelCard
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report import Report
from serving.scoring.detector import list_cards
from serving.scoring.pipeline import score_slide
from serving.scoring.report_identity import answers
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, make_cards, make_verifier_card, plant, tissue

CARDS = list(make_cards())


def score(options: ScoringOptions, detector: DotDetector | None = None) -> Report:
    pixels = tissue(1300, 900)
    plant(pixels, 400, 400)
    return score_slide(ArraySlide(pixels, mpp=0.25), detector or DotDetector(), options).report


@pytest.mark.parametrize(
    "options",
    [
        ScoringOptions(),
        ScoringOptions(mpp=0.24),
        ScoringOptions(mpp=0.5),
        ScoringOptions(roi=parse_roi("100,100,800,700"), threshold=0.7, cascade="off", min_tissue_fraction=0, qc="off"),
    ],
)
def test_a_report_answers_what_it_was_asked(options: ScoringOptions) -> None:
    assert answers(score(options), options, CARDS)


@pytest.mark.parametrize(
    "other",
    [
        ScoringOptions(mpp=0.25),
        ScoringOptions(roi=parse_roi("0,0,900,900")),
        ScoringOptions(threshold=0.6),
        ScoringOptions(cascade="off"),
        ScoringOptions(min_tissue_fraction=0.2),
        ScoringOptions(counting=CountingOptions(hotspots=1)),
        ScoringOptions(qc="exclude"),
    ],
)
def test_it_does_not_answer_anything_else(other: ScoringOptions) -> None:
    report = score(ScoringOptions())
    assert not answers(report, other, CARDS)
    assert not answers(score(other), ScoringOptions(), CARDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda cards: [replace_hash(cards[0]), cards[1]],
        lambda cards: [*cards, make_verifier_card()],
        lambda cards: list(make_cards(detection=0.6)),
    ],
)
def test_nor_other_models(change: Callable[[list[ModelCard]], list[ModelCard]]) -> None:
    assert not answers(score(ScoringOptions()), ScoringOptions(), change(CARDS))


def test_nor_another_rounding_or_release(monkeypatch: pytest.MonkeyPatch) -> None:
    report = score(ScoringOptions())
    assert not answers(report, ScoringOptions(), CARDS, rounded="bf16")
    monkeypatch.setattr("serving.scoring.report_identity.__version__", "99.0")
    assert not answers(report, ScoringOptions(), CARDS)


def test_a_cascade_with_a_verifier_is_known_again(tmp_path: Path) -> None:
    detector = DotDetector(verification_card=make_verifier_card())
    report = score(ScoringOptions(), detector)
    assert answers(report, ScoringOptions(), list_cards(detector))
    assert not answers(report, ScoringOptions(), CARDS)


def replace_hash(card: ModelCard) -> ModelCard:
    return card.model_copy(update={"files": {"model.onnx": "1" * 64}})


def test_options_that_are_left_open_mean_what_the_card_says() -> None:
    report = score(ScoringOptions())
    assert answers(report, ScoringOptions(threshold=0.5), CARDS)
