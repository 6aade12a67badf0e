"""What a regions model says bounds counts, areas as computed by hand; people overrule it, and a recount finds the same again."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.core.geometry import Roi
from serving.core.options import CountingOptions, ScoringOptions
from serving.core.report import Report
from serving.exports import EXPORTS
from serving.scoring import mask_outlines, regions
from serving.scoring.counting_settings import restore_options
from serving.scoring.detector import list_released_cards
from serving.scoring.pipeline import score_slide
from serving.scoring.preliminary import Preliminary
from serving.scoring.recount import recount
from serving.scoring.regions import NO_CLASS, ClassMap
from serving.scoring.report_identity import answers, identify_counts
from serving.slides.arrayslide import ArraySlide
from tests.fakes import NECROSIS, STROMA, BoundedDots, ColourSegmenter, DotDetector, make_regions_card, plant, tissue

MPP = 0.25
WIDTH, HEIGHT = 2560, 1280
"""Elements of the map are 10 px a side, and every edge of the tissue's kinds lies on an edge of theirs."""
TUMOUR = (200, 200, 1400, 800)
NECROTIC = (800, 400, 300, 300)
"""x, y, width, height; it lies in the tumour."""
IN_TUMOUR = [(300.0, 300.0), (1500.0, 900.0), (700.0, 600.0)]
ELSEWHERE = [(950.0, 550.0), (2000.0, 300.0), (100.0, 1100.0), (1800.0, 1000.0)]
MM2 = (1000 / MPP) ** 2
"""Level-0 px."""


def _draw(*, dots: bool = True) -> NDArray[np.uint8]:
    pixels = tissue(WIDTH, HEIGHT)
    pixels[:] = STROMA
    for (x, y, width, height), colour in ((TUMOUR, (225, 170, 205)), (NECROTIC, NECROSIS)):
        pixels[y : y + height, x : x + width] = colour
    for place in (*IN_TUMOUR, *ELSEWHERE) if dots else ():
        plant(pixels, *place)
    return pixels


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    return ArraySlide(_draw(), mpp=MPP)


def _detector(**changed: Any) -> BoundedDots:
    return BoundedDots(regions=ColourSegmenter(make_regions_card(least_part_mm2=0.001, **changed)))


def _options(**counting: Any) -> ScoringOptions:
    return ScoringOptions(counting=CountingOptions(hotspot_area=0.1, hotspots=2, **counting))


def _rectangle(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    return {"type": "FeatureCollection", "unit": "level-0 px", "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"name": "mine"}}
    ]}  # fmt: skip


def _centres(report: Report) -> list[tuple[float, float]]:
    return sorted((d.x + d.width / 2, d.y + d.height / 2) for d in report.detections)


@pytest.mark.parametrize(
    ("model", "factor"),
    [({}, 1), ({}, 4), ({"mpp": 0.5, "window": 100, "overlap": 0}, 1), ({"mpp": 2.0, "window": 64, "overlap": 31}, 2)],
)
def test_figures_count_in_the_tumour_and_not_in_its_necrosis(
    slide: ArraySlide, model: dict[str, Any], factor: int
) -> None:
    detector = _detector(**model)
    assert detector.regions is not None
    detector.regions.factor = factor
    report = score_slide(slide, detector, _options()).report
    assert _centres(report) == sorted(IN_TUMOUR)
    assert len(report.outside) == len(ELSEWHERE)
    assert report.regions is not None
    exact = factor * model.get("mpp", 1.0) <= 1.0
    tumour, necrosis, stroma = report.regions.classes
    areas = {
        "Tumor": 1400 * 800 - 300 * 300,
        "Necrosis": 300 * 300,
        "Stroma": WIDTH * HEIGHT - 1400 * 800,
    }
    for one in (tumour, necrosis, stroma):
        assert one.area_mm2 == pytest.approx(areas[one.name] / MM2, rel=1e-3 if exact else 0.06, abs=6e-5), one.name
    assert report.counts.tissue_area_mm2 == pytest.approx(tumour.area_mm2, abs=1e-4)
    assert report.counts.bounded_by == ["tissue", "regions model"]
    assert [one.use for one in report.regions.classes] == ["within", "exclude", "shown"]
    if exact:
        ((outline,),) = (one.outlines for one in (tumour,))
        (polygon,) = outline.polygons
        assert [len(ring) for ring in polygon] == [5, 5]
        assert {tuple(point) for point in polygon[0]} == {(200, 200), (1600, 200), (1600, 1000), (200, 1000)}
        assert {tuple(point) for point in polygon[1]} == {(800, 400), (1100, 400), (1100, 700), (800, 700)}
    assert all(window.mitotic_figures > 0 for window in report.hotspots)


def test_the_report_says_who_bounded_the_count_and_the_id_holds_it(slide: ArraySlide) -> None:
    detector = _detector()
    first, plain = score_slide(slide, detector, _options()).report, score_slide(slide, DotDetector(), _options()).report
    assert first.regions is not None
    assert first.settings.counting is not None
    assert first.settings.counting.regions_by == "model"
    assert first.settings.counting.within == first.regions.list_outlines("within")
    assert [f"{m.name} {m.version}" for m in first.used_models][-1] == f"regions {first.regions.model.version}"
    assert first.timing.regions_s is not None
    other = score_slide(slide, _detector(version="0.0.2"), _options()).report
    ignored = score_slide(slide, detector, _options(model_regions="ignore")).report
    assert len({report.analysis_id for report in (first, plain, other, ignored)}) == 4
    assert plain.settings.counting is not None
    assert (plain.settings.counting.regions_by, plain.regions) == (None, None)
    cards = list_released_cards(detector)
    assert answers(first, _options(), cards)
    assert answers(ignored, _options(model_regions="ignore"), cards)
    for report, options, known in (
        (first, _options(model_regions="ignore"), cards),
        (ignored, _options(), cards),
        (first, _options(), list_released_cards(_detector(version="0.0.2"))),
        (first, _options(), list_released_cards(DotDetector())),
        (plain, _options(), cards),
    ):
        assert not answers(report, options, known)


def test_people_overrule_the_model(slide: ArraySlide) -> None:
    mine = _rectangle(1900, 200, 400, 400)
    for given, expected, bounds in (
        ({"within": mine}, [(2000.0, 300.0)], ["within"]),
        ({"exclude": mine}, sorted({*IN_TUMOUR, *ELSEWHERE} - {(2000.0, 300.0)}), ["exclude"]),
        ({"model_regions": "ignore"}, sorted([*IN_TUMOUR, *ELSEWHERE]), []),
    ):
        report = score_slide(slide, _detector(), _options(**given)).report
        assert _centres(report) == expected
        assert report.counts.bounded_by == ["tissue", *bounds]
        assert report.regions is not None
        assert report.settings.counting is not None
        assert report.settings.counting.regions_by == "people"
        assert report.regions.classes[0].area_mm2 > 0, "what the model says stays in the report"


def test_a_recount_finds_the_same_and_takes_other_regions(slide: ArraySlide) -> None:
    asked = _options().counting
    analysis = score_slide(slide, _detector(), _options())
    counting = analysis.report.settings.counting
    assert counting is not None
    for options in (asked, restore_options(counting)):
        assert recount(analysis, options).report == analysis.report
    assert identify_counts(recount(analysis, asked).report) == identify_counts(analysis.report)
    everywhere = recount(analysis, asked.model_copy(update={"model_regions": "ignore"}))
    assert len(everywhere.report.detections) == len(IN_TUMOUR) + len(ELSEWHERE)
    again = everywhere.report.settings.counting
    assert again is not None
    assert recount(everywhere, restore_options(again)).report == everywhere.report
    assert recount(everywhere, asked).report == analysis.report
    scored = score_slide(slide, _detector(), _options(model_regions="ignore")).report
    assert scored.analysis_id == everywhere.report.analysis_id


def test_where_none_of_its_classes_is_nothing_counts(slide: ArraySlide) -> None:
    pixels = tissue(1000, 800)
    pixels[:] = STROMA
    plant(pixels, 500, 400)
    report = score_slide(ArraySlide(pixels, mpp=MPP), _detector(), _options()).report
    assert (report.counts.mitotic_figures, report.counts.tissue_area_mm2, report.counts.per_mm2) == (0, 0, None)
    assert "the regions leave no tissue to count in: no density can be stated" in report.warnings
    assert report.settings.counting is not None
    assert (report.settings.counting.within, report.settings.counting.exclude) == ([], [])
    for name in ("geojson", "html", "csv"):
        assert EXPORTS[name].render(score_slide(ArraySlide(pixels, mpp=MPP), _detector(), _options()))


def test_a_model_that_only_leaves_out_bounds_nothing_else(slide: ArraySlide) -> None:
    classes = make_regions_card().model_dump()["tissue_classes"]
    classes[0]["use"] = "shown"
    report = score_slide(slide, _detector(tissue_classes=classes), _options()).report
    assert _centres(report) == sorted({*IN_TUMOUR, *ELSEWHERE} - {(950.0, 550.0)})
    assert report.counts.tissue_area_mm2 == pytest.approx((WIDTH * HEIGHT - 300 * 300) / MM2, rel=1e-3)


def test_windows_without_analysed_tissue_are_not_looked_at() -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    pixels[200:1000, 200:1000] = (225, 170, 205)
    plant(pixels, 600, 600)
    detector = _detector()
    report = score_slide(ArraySlide(pixels, mpp=MPP), detector, _options()).report
    assert detector.regions is not None
    # Windows are 96 um and 64 um apart: the tissue, 200 um a side, touches 5 x 5 middle parts at most.
    assert 16 <= detector.regions.segmented <= 25
    assert len(report.detections) == 1


def test_what_is_known_while_figures_are_found_is_counted_in_them_too(slide: ArraySlide) -> None:
    seen: list[Preliminary] = []
    report = score_slide(slide, _detector(), _options(), on_preliminary=seen.append).report
    assert seen[-1].mitotic_figures == report.counts.mitotic_figures == len(IN_TUMOUR)


def test_an_analysis_can_be_stopped_while_tissue_is_told_apart(slide: ArraySlide) -> None:
    class StoppedError(Exception):
        pass

    detector = _detector()
    calls: list[tuple[int, ...]] = []

    def stop(*progress: int) -> None:
        calls.append(progress)
        if len(calls) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        score_slide(slide, detector, _options(), on_progress=stop)
    assert detector.screened == 0


def _map(classes: list[list[int]], *, step: float = 10.0) -> ClassMap:
    """Of classes by number, `NO_CLASS` where nobody looked."""
    grid = np.asarray(classes)
    planes = np.asarray([grid == number for number in range(3)], np.float32)
    return ClassMap(planes, grid != NO_CLASS, step, step)


def test_small_parts_become_what_lies_beside_them() -> None:
    grid = np.zeros((8, 12), np.int64)
    grid[:, 8:] = 1
    grid[2, 2] = 2  # one element alone
    grid[5:7, 9:11] = 2  # four, which are enough
    grid[0, 0] = NO_CLASS
    found = _map(grid.tolist()).choose(350.0)
    grid[2, 2] = 0
    assert np.array_equal(found, grid)
    nothing = _map([[NO_CLASS, NO_CLASS]]).choose(350.0)
    assert (nothing == NO_CLASS).all()
    small = _map([[0, NO_CLASS, 2]]).choose(1e6)
    assert small.tolist() == [[0, NO_CLASS, 2]], "where all parts are small they stay what they are"


def test_coarser_elements_have_the_mean_of_those_that_were_seen() -> None:
    coarse = _map([[0, 0, 1], [0, 1, NO_CLASS], [2, NO_CLASS, NO_CLASS]]).coarsen()
    assert (coarse.step_x, coarse.step_y) == (20, 20)
    assert coarse.seen.tolist() == [[True, True], [True, False]]
    assert np.allclose(coarse.probabilities[:, 0, 0], (0.75, 0.25, 0))
    assert np.allclose(coarse.probabilities[:, 0, 1], (0, 1, 0))
    assert np.allclose(coarse.probabilities[:, 1, 0], (0, 0, 1))


def test_ragged_tissue_is_outlined_more_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = _draw(dots=False)
    for y in range(120, 900, 40):
        pixels[y : y + 20, 150:1700] = STROMA
    slide = ArraySlide(pixels, mpp=MPP)
    fine = score_slide(slide, _detector(), _options()).report.regions
    for module in (mask_outlines, regions):
        monkeypatch.setattr(module, "MAX_VERTICES", 40)
    coarse = score_slide(slide, _detector(), _options()).report.regions
    assert fine is not None
    assert coarse is not None
    assert coarse.mask_mpp / fine.mask_mpp in (2, 4, 8)
    corners = sum(len(r) for c in coarse.classes for o in c.outlines for p in o.polygons for r in p)
    assert corners <= 40
    assert sum(c.area_mm2 for c in coarse.classes) == pytest.approx(sum(c.area_mm2 for c in fine.classes), rel=1e-3)


def test_a_region_of_interest_bounds_what_is_looked_at(slide: ArraySlide) -> None:
    roi = Roi(((0, 0), (1000, 0), (1000, HEIGHT), (0, HEIGHT)))
    report = score_slide(slide, _detector(), _options().model_copy(update={"roi": roi})).report
    assert _centres(report) == [(300.0, 300.0), (700.0, 600.0)]
    assert report.counts.bounded_by == ["tissue", "roi", "regions model"]
    assert report.regions is not None
    assert report.regions.classes[0].area_mm2 == pytest.approx((800 * 800 - 200 * 300) / MM2, rel=1e-3, abs=6e-5)
