"""Counts in regions against areas and figures computed by hand; the same when a slide is scored and when it is counted again."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serving.core.errors import RequestError, RoiError
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.outlines import parse_outlines
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.exports.figures import list_figures
from serving.scoring.analysis import Analysis
from serving.scoring.count_bounds import CountBounds
from serving.scoring.counting_settings import restore_options
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import find_counted_area, recount
from serving.scoring.reviewed import name_objects
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue
from tests.unit.serving.scoring.test_recount import make_decision

SURE = [(437.0, 437.0), (600.0, 500.0), (700.0, 900.0), (2062.0, 1312.0)]
UNLIKELY = {(900.0, 600.0): 14, (2000.0, 700.0): 12}
MM2 = (1000 / 0.25) ** 2
"""Level-0 px."""


def regions(
    *boxes: tuple[float, float, float, float], hole: tuple[float, float, float, float] | None = None
) -> dict[str, Any]:
    """Rectangles (x, y, width, height), the first with a hole."""

    def ring(x: float, y: float, width: float, height: float) -> list[list[float]]:
        return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]

    rings = [[ring(*box)] for box in boxes]
    if hole is not None:
        rings[0].append(ring(*hole))
    return {"type": "MultiPolygon", "coordinates": rings}


def options(**counting: Any) -> CountingOptions:
    return CountingOptions(hotspot_area=0.1, hotspots=2, **counting)


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    pixels = tissue(2600, 1700)
    for x, y in SURE:
        plant(pixels, x, y)
    for (x, y), side in UNLIKELY.items():
        plant(pixels, x, y, side=side)
    return ArraySlide(pixels, mpp=0.25, name="slide.svs")


@pytest.fixture(scope="module")
def analysis(slide: ArraySlide) -> Analysis:
    return score_slide(slide, DotDetector(), ScoringOptions(counting=options()))


def without_times(report: Report) -> dict[str, Any]:
    stated = report.model_dump(exclude={"timing", "software"})
    stated["detections"].sort(key=lambda found: (found["x"], found["y"]))
    return stated


LEFT = regions((0, 0, 1300, 1700))
CASES = [
    # within, exclude, figures, counted px
    (None, None, 4, 2600 * 1700),
    (LEFT, None, 3, 1300 * 1700),
    (regions((300, 300, 800, 800), hole=(550, 450, 100, 100)), None, 2, 800 * 800 - 100 * 100),
    (regions((300, 300, 800, 800), (1900, 1200, 300, 300)), None, 4, 800 * 800 + 300 * 300),
    (None, regions((300, 300, 800, 800), hole=(550, 450, 100, 100)), 2, 2600 * 1700 - (800 * 800 - 100 * 100)),
    (LEFT, regions((400, 400, 300, 200)), 1, 1300 * 1700 - 300 * 200),
    (regions((-500, -500, 1000, 1000)), None, 1, 500 * 500),
    (regions((1500, 100, 300, 300)), None, 0, 300 * 300),
]


@pytest.mark.parametrize("case", CASES)
def test_figures_and_area_are_those_of_the_polygons(
    analysis: Analysis, slide: ArraySlide, case: tuple[Any, Any, int, float]
) -> None:
    within, exclude, figures, px = case
    asked = options(within=within, exclude=exclude)
    report = recount(analysis, asked).report
    counts = report.counts
    assert counts.mitotic_figures == len(report.detections) == figures
    assert sum(tile.mitotic_count for tile in report.tiles) == figures
    assert len(report.outside) == len(SURE) - figures
    assert counts.tissue_area_mm2 == pytest.approx(px / MM2, rel=0.05)  # elements of 10 px
    assert counts.per_mm2 == pytest.approx(figures / counts.tissue_area_mm2, abs=1e-3)
    assert counts.bounded_by == ["tissue", *["within"][: within is not None], *["exclude"][: exclude is not None]]
    scored = score_slide(slide, DotDetector(), ScoringOptions(counting=asked))
    assert without_times(scored.report) == without_times(report)
    # What was scored in regions can be counted without them, and is then what it would have been.
    assert without_times(recount(scored, options()).report) == without_times(analysis.report)
    for name in ("csv", "geojson"):
        assert EXPORTS[name].render(scored) == EXPORTS[name].render(recount(analysis, asked))


def test_the_report_states_the_regions_and_the_identity_holds_them(analysis: Analysis) -> None:
    report = recount(analysis, options(within=LEFT)).report
    counting = report.settings.counting
    assert counting is not None
    assert counting.within is not None
    assert [one.name for one in counting.within] == ["unnamed"]
    assert counting.within[0].polygons[0][0][2] == (1300, 1700)
    other = recount(analysis, options(within=regions((0, 0, 1301, 1700)))).report
    assert len({report.analysis_id, other.analysis_id, analysis.report.analysis_id}) == 3
    assert other.settings.counting is not None
    assert counting.regions_sha256 != other.settings.counting.regions_sha256
    assert recount(analysis, restore_options(counting)).report == report
    assert report.tissue == analysis.report.tissue


def test_hotspots_lie_on_regions_as_they_lie_on_tissue(analysis: Analysis) -> None:
    # The upper three figures fill the first hotspot; where they are left out, as on glass, no window stands there.
    left_out = regions((0, 0, 1400, 1100))
    report = recount(analysis, options(exclude=left_out, hotspot_min_tissue=0.9)).report
    assert analysis.report.hotspots[0].mitotic_figures == 3
    area = find_counted_area(analysis, CountBounds(exclude=parse_outlines(left_out)))
    assert [h.mitotic_figures for h in report.hotspots] == [1]
    for window in report.hotspots:
        assert window.tissue_fraction is not None
        assert window.tissue_fraction >= 0.9
        share = area.rectangle(window.x, window.y, window.width, window.height) / (window.width * window.height)
        assert share == pytest.approx(window.tissue_fraction, abs=1e-3)
    alone = recount(analysis, options(within=regions((410, 410, 60, 60))))
    assert alone.report.hotspots == []
    assert "lower hotspot_min_tissue" in alone.report.warnings[-1]
    assert recount(alone, options()).report.warnings == []
    (said,) = recount(analysis, options(within=LEFT, exclude=LEFT)).report.warnings
    assert said == "the regions leave no tissue to count in: no density can be stated"


def test_a_field_counts_what_lies_in_the_regions(analysis: Analysis) -> None:
    (field,) = recount(analysis, options(exclude=regions((580, 480, 40, 40))), fields=[(600, 600)]).report.fields
    assert field.mitotic_figures == 2


def test_a_threshold_and_a_review_count_in_the_regions_alone(analysis: Analysis) -> None:
    named = name_objects(analysis.report)
    at = {name: (d.x + d.width / 2, d.y + d.height / 2) for name, d in named.items()}
    near = {
        place: min(at, key=lambda name: np.hypot(at[name][0] - place[0], at[name][1] - place[1]))
        for place in [*SURE, *UNLIKELY]
    }
    lower = recount(analysis, options(within=LEFT), threshold=0.2).report
    assert lower.counts.mitotic_figures == 4
    assert (len(lower.outside), len(lower.candidates)) == (2, 0)
    verdicts = {
        near[SURE[0]]: False,
        near[SURE[1]]: True,
        near[SURE[3]]: True,
        near[(900.0, 600.0)]: True,
        near[(2000.0, 700.0)]: True,
    }
    decision = make_decision(analysis.report, verdicts, added=((300.0, 300.0), (2300.0, 300.0)))
    counted = recount(analysis, options(within=LEFT), decision=decision)
    review = counted.report.review
    assert review is not None
    assert (review.accepted, review.rejected, review.added, review.unjudged) == (1, 1, 2, 1)
    assert review.counts.mitotic_figures == 4
    assert review.counts.bounded_by == ["tissue", "within"]
    assert sorted(round(figure.centre[0], -1) for figure in list_figures(counted.report)) == [300, 600, 700, 900]


def test_what_lies_outside_is_named_and_counts_again_by_its_name(slide: ArraySlide) -> None:
    scored = score_slide(slide, DotDetector(), ScoringOptions(counting=options(within=LEFT)))
    assert [name for name in name_objects(scored.report) if name.startswith("outside-")] == ["outside-0"]
    decision = make_decision(scored.report, {"outside-0": False})
    inside, everywhere = (
        recount(scored, asked, decision=decision).report.review for asked in (options(within=LEFT), options())
    )
    assert inside is not None
    assert everywhere is not None
    assert (inside.counts.mitotic_figures, inside.rejected) == (3, 0)
    assert (everywhere.counts.mitotic_figures, everywhere.rejected) == (3, 1)


def test_the_map_s_expected_count_is_that_of_the_regions(analysis: Analysis) -> None:
    whole, left, right = (
        recount(analysis, options(within=within, exclude=exclude)).report.counts
        for within, exclude in ((None, None), (LEFT, None), (None, LEFT))
    )
    parts = [counts.expected.mitotic_figures for counts in (left, right) if counts.expected is not None]
    assert whole.expected is not None
    assert sum(parts) == pytest.approx(whole.expected.mitotic_figures, abs=0.01)
    assert parts[0] == pytest.approx(3.34, abs=0.2)
    assert left.interval is not None


def test_the_quality_mask_bounds_with_the_regions(slide: ArraySlide) -> None:
    report = score_slide(
        slide, DotDetector(), ScoringOptions(qc="exclude", roi=None, counting=options(within=LEFT))
    ).report
    assert report.counts.bounded_by == ["tissue", "within", "quality mask"]


def test_regions_of_another_slide_are_refused_before_anything_is_read(analysis: Analysis) -> None:
    class Unread(ArraySlide):
        def read(self, *_: Any) -> Any:
            raise AssertionError("nothing is read")

    away = options(exclude=regions((9000, 9000, 10, 10)))
    with pytest.raises(RoiError, match="outside the slide"):
        recount(analysis, away)
    with pytest.raises(RoiError, match="outside the slide"):
        score_slide(Unread(tissue(1200, 1000), mpp=0.25), DotDetector(), ScoringOptions(counting=away))


def test_bad_regions_are_refused_as_options() -> None:
    with pytest.raises(RequestError, match="no JSON"):
        options(within="{")


def test_results_without_regions_are_read(analysis: Analysis) -> None:
    stated = analysis.report.model_dump()
    del stated["outside"]
    del stated["settings"]["counting"]["within"]
    assert recount(replace(analysis, report=Report.model_validate(stated)), options()).report == analysis.report


def test_exports_show_the_regions_in_their_own_px(slide: ArraySlide) -> None:
    necrosis = {"type": "Feature", "geometry": regions((0, 0, 100, 100)), "properties": {"classification": "Necrosis"}}
    within = {
        "type": "FeatureCollection",
        "unit": "level-0 px",
        "features": [{"type": "Feature", "geometry": LEFT, "properties": {"classification": {"name": "Tumor"}}}],
    }
    analysis = score_slide(slide, DotDetector(), ScoringOptions(counting=options(within=within, exclude=necrosis)))
    info = analysis.report.slide.model_copy(update={"bounds": (50, 20, 2000, 1500), "stored_scale": (2.0, 1.0)})
    moved = replace(analysis, report=analysis.report.model_copy(update={"slide": info}))
    for shown, corner in ((analysis, [1300, 1700]), (moved, [2500, 1680])):
        found = json.loads(EXPORTS["geojson"].render(shown))["features"]
        drawn = {f["properties"]["metadata"]["counts"]: f for f in found if "counts" in f["properties"]["metadata"]}
        assert drawn["within"]["properties"]["classification"]["name"] == "Tumor"
        assert drawn["exclude"]["properties"]["classification"]["name"] == "Necrosis"
        assert drawn["within"]["geometry"]["coordinates"][0][0][2] == corner
        again = parse_outlines({"type": "FeatureCollection", "features": [drawn["within"]]}).place(shown.report.slide)
        assert again.as_report() == analysis.report.settings.counting.within  # type: ignore[union-attr]
    page = EXPORTS["appendix-html"].render(analysis).decode()
    assert "Tumor (1)" in page
    assert "inside the regions to count in" in page
