"""The one page: what it says, and that it stays one page."""

import re
from dataclasses import replace
from html import unescape

import pytest

from serving.core.counts import JudgedObject, ReadingAgreement, Signature
from serving.core.options import CountingOptions
from serving.core.report import DetectionResult
from serving.core.report_parts import Quality, QualityArea
from serving.core.words import RESEARCH_USE
from serving.exports import EXPORTS
from serving.exports.sheet import CROPS, list_shown, make_sheet
from serving.exports.sheet_pictures import read_views
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import StatedReading, recount
from serving.scoring.reviewed import ReviewDecision
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue
from tests.pdf_pages import count_pages

SOME = CountingOptions()
LONG = "what somebody says at great length and in many words of the same meaning " * 40


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    pixels = tissue(2600, 1900)
    for i in range(20):
        plant(pixels, 200 + 120 * i, 400 + 300 * (i % 4))
    return ArraySlide(pixels, mpp=0.6, name="K 17.svs")


@pytest.fixture(scope="module")
def scored(slide: ArraySlide) -> Analysis:
    return score_slide(slide, DotDetector())


def with_figures(analysis: Analysis, number: int) -> Analysis:
    """The analysis with so many figures of the model's, counted."""
    step = 0.45 * analysis.report.slide.width * analysis.report.slide.height / max(number, 1)
    side = max(int(step**0.5), 8)
    across = max(analysis.report.slide.width // side, 1)
    found = [
        DetectionResult(
            x=float(side * (i % across)),
            y=float(side * (i // across)),
            width=20.0,
            height=20.0,
            probability=0.9,
            score=0.5,
        )
        for i in range(number)
    ]
    report = analysis.report.model_copy(update={"detections": found, "candidates": [], "outside": []})
    return recount(replace(analysis, report=report), SOME)


def decision(analysis: Analysis, every: int, *names: str, consensus: bool = False) -> ReviewDecision:
    objects = tuple(
        JudgedObject(
            target=f"detection-{i}", x=d.x, y=d.y, width=d.width, height=d.height, probability=d.probability,
            label="Mitosis" if i % every else "Apoptotic body", is_figure=bool(i % every),
        )
        for i, d in enumerate(analysis.report.detections)
    )  # fmt: skip
    return ReviewDecision(objects, names, majority=False, last_entry=9, last_at=1.8e9, consensus=consensus)


def reviewed(analysis: Analysis) -> Analysis:
    """After two readings and their consensus, signed twice, with warnings."""
    readers = [
        StatedReading(f"key:{n}", name, "2026-11-29T10:00:00Z", decision(analysis, n + 1, name))
        for n, name in ((1, "Dr Ann Lee"), (2, "Dr Bob Ray"))
    ]
    both = decision(analysis, 3, "Dr Ann Lee", "Dr Bob Ray", consensus=True)
    made = recount(analysis, SOME, decision=both, readers=readers, fields=[(900.0, 700.0)])
    agreement = ReadingAgreement(judged_by_both=20, agreed=13, kappa=0.3, disagreements=7, undecided=1)
    signed = [
        Signature(
            number=n, at="2026-11-29T11:00:00Z", author="key:1", name="ann", reviewer="Dr Ann Lee", sha256="ab" * 32, current=n == 2
        )
        for n in (2, 1)
    ]  # fmt: skip
    more = {"agreement": agreement, "signatures": signed, "warnings": ["The scanner is unknown."]}
    return replace(made, report=made.report.model_copy(update=more))


def words(page: bytes) -> str:
    """What a page says, without its pictures and marks."""
    text = re.sub(r'src="data:[^"]*"|<style>.*?</style>', "", page.decode(), flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", text))


@pytest.mark.parametrize("number", [0, 3, 5000])
def test_the_page_is_one_page_whatever_was_found(scored: Analysis, slide: ArraySlide, number: int) -> None:
    plain = with_figures(scored, number)
    for counted in (plain, reviewed(plain)):
        made = replace(counted, views=read_views(slide, counted.report))
        content = EXPORTS["pdf"].render(made)
        assert count_pages(content) == 1
        assert EXPORTS["pdf"].render(made) == content
        page = EXPORTS["html"].render(made)
        assert page.count(b"<figure>") == 1 + bool(made.report.hotspots or made.report.fields) + min(
            len(list_shown(made.report)), CROPS
        )
        assert RESEARCH_USE in words(page)
        assert "Page 1 of 1" in words(page)


def test_the_page_stays_one_page_however_much_is_said(scored: Analysis) -> None:
    made = reviewed(scored)
    report = made.report.model_copy(
        update={
            "warnings": [LONG] * 30,
            "slide": made.report.slide.model_copy(update={"name": f"{LONG}.svs"}),
            "readings": [one.model_copy(update={"reviewer": LONG}) for one in made.report.readings],
            "signatures": [one.model_copy(update={"reviewer": LONG, "name": LONG}) for one in made.report.signatures]
            * 50,
        }
    )
    long = replace(made, report=report)
    assert count_pages(EXPORTS["pdf"].render(long)) == 1
    sheet = make_sheet(report)
    assert len(sheet.warnings) == 5
    assert "26 more warnings are in the technical appendix" in sheet.warnings
    assert max(len(value) for _, value in sheet.facts) < 400


def test_every_number_stands_for_each_side(scored: Analysis) -> None:
    made = reviewed(scored)
    report, sheet = made.report, make_sheet(made.report)
    assert sheet.sides == ("Model", "Reviewer 1: Dr Ann Lee", "Reviewer 2: Dr Bob Ray", "Consensus")
    assert report.review is not None
    hotspot, field = report.hotspots[0], report.fields[0]
    strong = [row.values for row in sheet.rows if row.strong]
    assert strong == [
        tuple(
            str(n)
            for n in (
                w.mitotic_figures,
                *(r.mitotic_figures for r in w.readings),
                w.reviewed and w.reviewed.mitotic_figures,
            )
        )
        for w in (hotspot, field)
    ] + [
        tuple(
            str(n)
            for n in (
                report.counts.mitotic_figures,
                *(r.review.counts.mitotic_figures for r in report.readings),
                report.review.counts.mitotic_figures,
            )
        )
    ]
    said = words(EXPORTS["html"].render(made))
    for part in (
        "Dr Ann Lee, Dr Bob Ray",
        "Cohen's kappa (1960) 0.30",
        "1 of them without a consensus",
        "Elston and Ellis",
    ):
        assert part in said
    assert "The scanner is unknown" in said
    assert "Signed by Dr Ann Lee (as ann) on 2026-11-29 11:00 UTC" in said
    assert said.count("NO LONGER CURRENT") == 1
    assert "Not signed" not in said


def test_without_a_review_the_page_says_so(scored: Analysis) -> None:
    sheet = make_sheet(scored.report)
    assert sheet.sides == ("Model",)
    assert ("Reviewer", "nobody") in sheet.facts
    assert sheet.notes == ("Not reviewed: all numbers are the model's.",)
    assert "Not signed" in words(EXPORTS["html"].render(scored))


def test_quality_is_mentioned_where_something_was_masked(scored: Analysis) -> None:
    areas = [QualityArea(reason="pen", area_mm2=0.5, tissue_mm2=0.25)]
    quality = Quality(
        methods={"pen": "by its colour"}, areas=areas, masked_tissue_mm2=0.0, unjudged_focus_mm2=0, figures_masked=0, figures_dropped=0
    )  # fmt: skip
    for masked in (0.0, 0.25):
        stated = quality.model_copy(update={"masked_tissue_mm2": masked})
        report = scored.report.model_copy(update={"quality": stated})
        page = words(EXPORTS["html"].render(replace(scored, report=report)))
        assert ("Quality:" in page) == (masked > 0)
        assert ("pen 0.25 mm²" in page) == (masked > 0)


def test_a_page_without_the_slide_has_its_small_picture(scored: Analysis) -> None:
    page = EXPORTS["html"].render(scored).decode()
    assert page.count("<img") == 2
    assert page.count('class="blank"') == min(len(list_shown(scored.report)), CROPS)
    assert count_pages(EXPORTS["pdf"].render(scored)) == 1


def test_the_appendix_has_all_of_it_on_numbered_pages(scored: Analysis) -> None:
    made = reviewed(scored)
    page = words(EXPORTS["appendix-html"].render(made))
    for part in (
        "Reviewer 1: Dr Ann Lee",
        "Agreement of the readers",
        "Signatures",
        "Provenance",
        scored.report.slide.sha256,
    ):
        assert part in page
    assert count_pages(EXPORTS["appendix-pdf"].render(made)) > 1
