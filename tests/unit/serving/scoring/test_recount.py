"""A stored result counted again: at lower and higher thresholds, after review, in windows at places of somebody's choice."""

import numpy as np
import pytest

from serving.core.counts import JudgedObject
from serving.core.errors import RequestError
from serving.core.geometry import Roi
from serving.core.options import CountingOptions
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.scoring.analysis import Analysis
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.scoring.reviewed import ReviewDecision, name_objects
from serving.scoring.tissue import tissue_in
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DOT_PX, DotDetector, plant, tissue

SURE = [(437.0, 437.0), (600.0, 500.0), (700.0, 900.0), (2062.0, 1312.0)]
UNLIKELY = {(900.0, 600.0): 14, (1000.0, 700.0): 12}
"""Side by place of dots below the threshold: .34 and .25."""
SMALL = CountingOptions(hotspot_area=0.1, hotspots=2)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    pixels = tissue(2600, 1700)
    for x, y in SURE:
        plant(pixels, x, y)
    for (x, y), side in UNLIKELY.items():
        plant(pixels, x, y, side=side)
    return score_slide(ArraySlide(pixels, mpp=0.25, name="slide.svs"), DotDetector())


def test_tissue_is_found_once_however_often_a_result_is_counted(analysis: Analysis) -> None:
    info = analysis.report.slide
    again = recount(recount(analysis, SMALL), CountingOptions())
    found = again.find_tissue()
    assert found is analysis.find_tissue()
    anew = tissue_in(analysis.overview.pixels, info.width, info.height, info.mpp, None)
    np.testing.assert_array_equal(found.tissue, anew.tissue)
    np.testing.assert_array_equal(found.analysed, anew.analysed)


def test_tissue_of_a_part_of_a_slide_is_its_own(analysis: Analysis) -> None:
    info, part = analysis.report.slide, Roi(((0.0, 0.0), (1300.0, 0.0), (1300.0, 1700.0), (0.0, 1700.0)))
    whole = analysis.find_tissue()
    limited = analysis.overview.find_tissue(info.width, info.height, info.mpp, part)
    assert limited.area_px < 0.6 * whole.area_px
    assert analysis.find_tissue() is whole


def make_decision(
    report: Report, verdicts: dict[str, bool], *, added: tuple[tuple[float, float], ...] = ()
) -> ReviewDecision:
    named = name_objects(report)
    objects = [
        JudgedObject(
            target=name,
            **named[name].model_dump(include={"x", "y", "width", "height", "probability"}),
            label="Mitosis" if is_figure else "Apoptotic body",
            is_figure=is_figure,
        )
        for name, is_figure in verdicts.items()
    ]
    objects += [
        JudgedObject(
            target=f"added-{i}",
            x=x - 20,
            y=y - 20,
            width=40,
            height=40,
            probability=None,
            label="Mitosis",
            is_figure=True,
        )
        for i, (x, y) in enumerate(added)
    ]
    return ReviewDecision(objects=tuple(objects), reviewers=("A",), majority=False, last_entry=len(objects))


def test_candidates_below_the_threshold_are_kept_and_count_at_a_lower_one(analysis: Analysis) -> None:
    report = analysis.report
    assert report.candidates_from == 0.05
    assert sorted(c.probability for c in report.candidates) == pytest.approx(
        [(12 / DOT_PX) ** 2, (14 / DOT_PX) ** 2], abs=1e-4
    )
    lower = recount(analysis, SMALL, threshold=0.3).report
    assert (lower.counts.mitotic_figures, len(lower.candidates)) == (len(SURE) + 1, 1)
    lowest = recount(analysis, SMALL, threshold=0.05).report
    assert lowest.counts.mitotic_figures == len(SURE) + 2
    assert sum(tile.mitotic_count for tile in lowest.tiles) == len(SURE) + 2
    with pytest.raises(RequestError, match=r"0\.05 to 1"):
        recount(analysis, SMALL, threshold=0.049)


def test_the_hotspot_is_searched_again_at_another_threshold(analysis: Analysis) -> None:
    own = recount(analysis, SMALL).report.hotspots[0]
    lower = recount(analysis, SMALL, threshold=0.2).report.hotspots[0]
    assert (own.mitotic_figures, own.chosen_for) == (3, "model")
    assert lower.mitotic_figures == 5


def test_a_review_changes_every_count_and_leaves_the_models(analysis: Analysis) -> None:
    plain = recount(analysis, SMALL).report
    first = name_objects(analysis.report)
    in_hotspot = [name for name, d in first.items() if name.startswith("detection-") and d.x < 1500]
    decision = make_decision(
        analysis.report, {in_hotspot[0]: False, in_hotspot[1]: True, "candidate-0": True}, added=((2300.0, 1400.0),)
    )
    report = recount(analysis, SMALL, decision=decision).report
    review = report.review
    assert review is not None
    assert (review.accepted, review.rejected, review.added, review.unjudged) == (1, 1, 2, 2)
    assert report.counts == plain.counts
    assert [h.mitotic_figures for h in report.hotspots] == [h.mitotic_figures for h in plain.hotspots]
    assert review.counts.mitotic_figures == len(SURE) - 1 + 2
    assert review.counts.per_mm2 == pytest.approx((len(SURE) + 1) / review.counts.tissue_area_mm2, abs=1e-3)
    hotspot = report.hotspots[0].reviewed
    assert hotspot is not None
    assert (report.hotspots[0].mitotic_figures, hotspot.mitotic_figures, hotspot.judged) == (3, 3, 2)
    chosen = review.hotspots[0]
    assert chosen.chosen_for == "review"
    assert chosen.reviewed is not None
    assert chosen.reviewed.mitotic_figures == 3  # one accepted, one open, one from below the threshold
    assert sum(tile.mitotic_count for tile in report.tiles) == len(SURE)  # the model's


@pytest.mark.parametrize("is_figure", [True, False])
def test_what_everybody_judged_is_counted_as_they_say(analysis: Analysis, is_figure: bool) -> None:
    names = [name for name in name_objects(analysis.report) if name.startswith("detection-")]
    decision = make_decision(analysis.report, dict.fromkeys(names, is_figure))
    review = recount(analysis, SMALL, decision=decision).report.review
    assert review is not None
    assert review.counts.mitotic_figures == (len(SURE) if is_figure else 0)
    assert review.unjudged == 0
    assert len(review.hotspots) == (1 if is_figure else 0)


def test_without_verdicts_the_review_counts_as_the_model_does(analysis: Analysis) -> None:
    report = recount(analysis, SMALL, threshold=0.3, decision=make_decision(analysis.report, {})).report
    assert report.review is not None
    assert report.review.counts.model_copy(update={"expected": None}) == report.counts.model_copy(
        update={"expected": None}
    )
    for own, reviewed in zip(report.hotspots, report.review.hotspots, strict=True):
        assert (own.x, own.y, own.mitotic_figures) == (reviewed.x, reviewed.y, reviewed.mitotic_figures)


def test_a_field_is_counted_where_it_is_put(analysis: Analysis) -> None:
    decision = make_decision(analysis.report, {}, added=((1500.0, 1500.0),))
    report = recount(analysis, SMALL, decision=decision, fields=[(1300.0, 800.0), (1e9, -5.0)]).report
    here, corner = report.fields
    assert (here.mitotic_figures, here.chosen_for) == (2, "request")
    assert here.area_mm2 == pytest.approx(0.1, abs=1e-4)
    assert (here.x + here.width / 2, here.y + here.height / 2) == pytest.approx((1300, 800), abs=0.02)
    assert (corner.x + corner.width, corner.y) == pytest.approx((2600, 0), abs=0.01)


def test_cut_offs_may_be_ones_own(analysis: Analysis) -> None:
    report = recount(analysis, CountingOptions(hotspot_area=0.1, cut_offs=(1, 2))).report
    component = report.hotspots[0].component
    assert component is not None
    assert (component.profile, component.estimate, component.cut_offs) == ("own", "3 or more", [1, 2])
    assert report.counts.component == component


def test_exports_say_what_reviewers_said(analysis: Analysis) -> None:
    decision = make_decision(analysis.report, {"detection-0": False, "candidate-1": True}, added=((1500.0, 1500.0),))
    reviewed = recount(analysis, SMALL, decision=decision, fields=[(800.0, 800.0)])
    geojson = EXPORTS["geojson"].render(reviewed).decode()
    assert geojson.count('"Not mitosis"') == 1
    assert geojson.count('"name":"not judged"') == len(SURE) - 1
    assert '"after review":' in geojson
    lines = EXPORTS["detections-csv"].render(reviewed).decode().splitlines()
    assert lines[0].endswith(",figure,found_by,verdict,threshold,reviewers")
    assert len(lines) == 1 + len(SURE) + 2
    page = EXPORTS["appendix-html"].render(reviewed).decode()
    assert "After review" in page
    assert "1 rejected" in page
    assert "Field 1" in page
