"""Each figure that a report holds is asked about, and those that count are counted: everywhere, in windows and after review."""

import numpy as np
import pytest

from serving.core.card_parts import ProbabilityCalibration
from serving.core.counts import AtypicalCount
from serving.core.modelcard import ModelCard
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.probability import LogitAffine
from serving.core.report import Report
from serving.scoring.analysis import Analysis
from serving.scoring.detector import list_released_cards
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.scoring.report_identity import answers
from serving.slides.arrayslide import ArraySlide
from tests.fakes import (
    ATYPICAL_DOT,
    DOT,
    DOT_PX,
    ClassifyingAlone,
    ClassifyingDots,
    DotDetector,
    RedDots,
    make_alone_card,
    make_atypia_card,
    make_verifier_card,
    plant,
    tissue,
)
from tests.unit.serving.scoring.test_recount import make_decision

COMMON = [(437.0, 437.0), (700.0, 900.0)]
ATYPICAL = [(600.0, 500.0), (2862.0, 1312.0), (3100.0, 1400.0)]
UNLIKELY = {(900.0, 600.0): (14, ATYPICAL_DOT), (1000.0, 700.0): (12, DOT)}
"""Side and colour by place of dots below the threshold: .34 and .25."""
SMALL = CountingOptions(hotspot_area=0.1, hotspots=2)


def _slide(mpp: float = 0.25) -> ArraySlide:
    pixels = tissue(3400, 1700)
    for places, colour in ((COMMON, DOT), (ATYPICAL, ATYPICAL_DOT)):
        for x, y in places:
            plant(pixels, x, y, colour=colour)
    for (x, y), (side, colour) in UNLIKELY.items():
        plant(pixels, x, y, side=side, colour=colour)
    return ArraySlide(pixels, mpp=mpp, name="slide.svs")


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return score_slide(_slide(), ClassifyingDots())


def _said(report: Report) -> dict[tuple[float, float], float | None]:
    found = [*report.detections, *report.candidates]
    return {(round(d.x + d.width / 2), round(d.y + d.height / 2)): d.atypical_probability for d in found}


def test_every_detection_that_the_report_holds_has_its_probability(analysis: Analysis) -> None:
    said = _said(analysis.report)
    assert len(said) == len(COMMON) + len(ATYPICAL) + len(UNLIKELY)
    atypical = [*ATYPICAL, next(iter(UNLIKELY))]
    assert said == {place: pytest.approx(0.9 if place in atypical else 0.1) for place in said}


def test_only_what_counts_is_counted(analysis: Analysis) -> None:
    report = analysis.report
    assert report.counts.atypical == AtypicalCount(figures=3, of=5, share=0.6)
    assert report.atypia is not None
    assert (report.atypia.name, report.atypia.thresholds) == ("atypia", {"atypical": 0.5})
    assert report.models[-1].name == "det"
    lower = recount(analysis, SMALL, threshold=0.3).report
    assert lower.counts.atypical == AtypicalCount(figures=4, of=6, share=0.6667)
    assert recount(analysis, SMALL, threshold=0.999).report.counts.atypical == AtypicalCount(
        figures=0, of=0, share=None
    )


def test_windows_hold_their_own_and_fields_too(analysis: Analysis) -> None:
    report = recount(analysis, SMALL, fields=[(2980.0, 1350.0)]).report
    first, second = report.hotspots
    assert (first.mitotic_figures, first.atypical) == (3, AtypicalCount(figures=1, of=3, share=0.3333))
    assert (second.mitotic_figures, second.atypical) == (2, AtypicalCount(figures=2, of=2, share=1.0))
    assert report.fields[0].atypical == AtypicalCount(figures=2, of=2, share=1.0)


def test_after_review_what_was_rejected_is_not_atypical_and_what_was_added_is_not_known(analysis: Analysis) -> None:
    report = analysis.report
    names = {place: f"detection-{i}" for i, place in enumerate(list(_said(report))[: len(report.detections)])}
    decision = make_decision(
        report,
        {names[ATYPICAL[0]]: False, names[ATYPICAL[1]]: True, names[COMMON[0]]: True, "candidate-0": True},
        added=((3000.0, 1300.0),),
    )
    counted = recount(analysis, SMALL, decision=decision).report
    assert counted.review is not None
    # One atypical figure rejected, an atypical candidate accepted, one added that no model saw.
    assert counted.review.counts.mitotic_figures == 6
    assert counted.review.counts.atypical == AtypicalCount(figures=3, of=5, share=0.6)
    assert counted.counts.atypical == report.counts.atypical
    window = counted.review.hotspots[0]
    assert window.reviewed is not None
    assert window.reviewed.atypical is not None
    assert window.reviewed.atypical.of <= window.reviewed.mitotic_figures


@pytest.mark.parametrize("mpp", [0.25, 0.23, 0.5])
def test_its_windows_have_its_own_resolution_beside_a_detector_of_another(mpp: float) -> None:
    pixels = tissue(1200, 900)
    side = round(DOT_PX * 0.25 / mpp)
    plant(pixels, 300, 300, side=side)
    plant(pixels, 700, 500, side=side, colour=ATYPICAL_DOT)
    detector = ClassifyingAlone(card=make_alone_card(mpp=0.5))
    report = score_slide(ArraySlide(pixels, mpp=mpp), detector, ScoringOptions(threshold=0.3)).report
    assert [d.atypical_probability for d in report.detections] == pytest.approx([0.1, 0.9], abs=0.05)
    assert report.counts.atypical == AtypicalCount(figures=1, of=2, share=0.5)


def test_it_is_asked_after_the_verifier_and_about_no_more_than_the_report_holds() -> None:
    detector = ClassifyingDots(verification_card=make_verifier_card())
    report = score_slide(_slide(), detector).report
    assert detector.atypia is not None
    assert detector.atypia.classified == len(report.detections) + len(report.candidates)
    assert report.timing.atypia_s is not None
    assert report.timing.verify_s is not None
    assert 0 < report.timing.verify_s <= report.timing.detect_s
    assert score_slide(_slide(), ClassifyingDots()).report.timing.verify_s is None


def test_its_probability_is_calibrated_before_the_threshold() -> None:
    chosen = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
    calibration = ProbabilityCalibration(map=LogitAffine(slope=1.0, intercept=-3.0), **chosen)
    card = make_atypia_card(threshold=0.4, probability_calibration=calibration)
    report = score_slide(_slide(), ClassifyingDots(atypia=RedDots(card))).report
    expected = float(calibration.map.apply(np.asarray([0.9]))[0])
    assert max(d.atypical_probability or 0 for d in report.detections) == pytest.approx(expected, abs=1e-4)
    assert report.counts.atypical == AtypicalCount(figures=0, of=5, share=0.0)


def test_the_model_is_part_of_what_an_analysis_is() -> None:
    slide = _slide()
    with_it, other, without, plain = (
        (score_slide(slide, detector).report, detector)
        for detector in (
            ClassifyingDots(),
            ClassifyingDots(atypia=RedDots(make_atypia_card(threshold=0.4))),
            ClassifyingDots(atypia=None),
            DotDetector(),
        )
    )
    reports = [report for report, _ in (with_it, other, without, plain)]
    assert len({report.analysis_id for report in reports}) == 3
    assert without[0].analysis_id == plain[0].analysis_id
    assert plain[0].atypia is None
    assert plain[0].counts.atypical is None
    for report, detector in (with_it, other, without, plain):
        for _, asked in (with_it, other, plain):
            same = list_released_cards(detector) == list_released_cards(asked)
            assert answers(report, ScoringOptions(), list_released_cards(asked)) is same
    again = recount(score_slide(slide, with_it[1]), CountingOptions()).report
    assert (again.analysis_id, again.counts) == (with_it[0].analysis_id, with_it[0].counts)


def test_without_tissue_there_is_nothing_to_ask() -> None:
    detector = ClassifyingDots()
    report = score_slide(ArraySlide(np.full((400, 400, 3), 250, np.uint8), mpp=0.25), detector).report
    assert detector.atypia is not None
    assert detector.atypia.classified == 0
    assert report.counts.atypical == AtypicalCount(figures=0, of=0, share=None)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"atypical_threshold": None}, "a classification model must state atypical_threshold"),
        ({"detector_share": 0.5}, "detector_share is a verifier's"),
        ({"name": "mitotic-kinds", "atypical_threshold": None}, "must state atypical_threshold"),
        ({"candidate_probability": 0.1}, "finds no figures"),
    ],
)
def test_a_card_states_what_the_role_needs(changed: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ModelCard.model_validate(make_atypia_card().model_dump() | changed)
