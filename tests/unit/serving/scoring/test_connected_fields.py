"""Connected fields by hand, and in counts, report, exports and a count again."""

import json

import numpy as np
import pytest
import shapely

from serving.comparison.pair import hotspot_iou
from serving.core.options import CountingOptions, ScoringOptions
from serving.exports.export import EXPORTS
from serving.scoring.analysis import Analysis
from serving.scoring.connected_fields import find_connected_fields, search_cells
from serving.scoring.pipeline import score_slide
from serving.scoring.recount import recount
from serving.slides.arrayslide import ArraySlide
from tests.fakes import DotDetector, plant, tissue

FIELD = 100
"""Side of a field, px."""


def _points(*cells: tuple[float, float, int]) -> np.ndarray:
    """So many points in the middle of each (column, row)."""
    return np.asarray([((x + 0.5) * FIELD, (y + 0.5) * FIELD) for x, y, n in cells for _ in range(n)]).reshape(-1, 2)


def _find(
    points: np.ndarray, fields: int, size: tuple[float, float] = (600, 500), number: int = 1
) -> list[set[tuple[float, float]]]:
    found = find_connected_fields(points, side=FIELD, fields=fields, size=size, number=number)
    assert all(one.exact for one in found)
    return [{(x / FIELD, y / FIELD) for x, y in one.corners} for one in found]


def test_a_bridge_over_an_empty_field_is_worth_it_where_more_lies_behind() -> None:
    # 5 and 4 lie two apart, a 2 beside the 5: of three fields the bridge holds 9, the neighbours 7.
    points = _points((0, 0, 5), (2, 0, 4), (0, 1, 2))
    assert _find(points, 3) == [{(0, 0), (1, 0), (2, 0)}]
    assert _find(points, 2) == [{(0, 0), (0, 1)}]
    # Fields that touch at a corner alone are not connected.
    assert _find(_points((0, 0, 3), (1, 1, 3), (0, 1, 1), (4, 4, 4)), 2) == [{(0, 0), (0, 1)}]


def test_an_l_is_found_where_a_rectangle_would_miss() -> None:
    corner = _points((1, 1, 2), (1, 2, 2), (1, 3, 2), (2, 3, 2), (3, 3, 2))
    assert _find(corner, 5) == [{(1, 1), (1, 2), (1, 3), (2, 3), (3, 3)}]


def test_the_second_leaves_the_first_alone() -> None:
    points = _points((0, 0, 3), (1, 0, 3), (4, 3, 2), (5, 3, 1))
    assert _find(points, 2, number=3) == [{(0, 0), (1, 0)}, {(4, 3), (5, 3)}]


def test_a_cluster_on_a_line_of_the_grid_is_seen_by_another() -> None:
    around = np.asarray([(98.0, 98.0), (102.0, 98.0), (98.0, 102.0), (102.0, 102.0)])
    (found,) = find_connected_fields(around, side=FIELD, fields=1, size=(600, 500), number=1)
    assert found.corners.tolist() == [[50.0, 50.0]]
    assert find_connected_fields(around, side=FIELD, fields=99, size=(300, 300), number=1) == []
    assert find_connected_fields(around[:0], side=FIELD, fields=2, size=(600, 500), number=2) == []


def test_a_crowded_slide_ends_and_says_whether_it_is_exact() -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(0, (40_000, 30_000), (3_000, 2))
    found = find_connected_fields(points, side=800, fields=10, size=(40_000, 30_000), number=1)
    (one,) = found
    held = int(one.holds(one.place[None], points).sum())
    # Ten of the fullest 1,875 fields side by side hold more than ten common ones.
    assert held > 1.5 * 10 * 3_000 / 1_875
    assert not one.exact
    assert search_cells({(0, 0): 1}, 2, lambda cell: cell in {(0, 0), (5, 5)}) == (None, True)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    pixels = tissue(2000, 1800)
    for x, y in ((150, 150), (180, 420), (460, 430), (1700, 1600), (1500, 200)):
        plant(pixels, x, y)
    counting = CountingOptions(hotspot_shape="fields", hotspot_area=0.1, fields=20, profile="none")
    return score_slide(ArraySlide(pixels, mpp=0.25), DotDetector(), ScoringOptions(counting=counting))


def test_a_report_states_its_fields(analysis: Analysis) -> None:
    report = analysis.report
    first = report.hotspots[0]
    assert first.parts is not None
    assert (first.shape, len(first.parts), first.area_mm2) == ("fields", 20, 0.1)
    # A chain of so many reaches all of them.
    assert first.mitotic_figures == len(report.detections) == 5
    centres = [(d.x + d.width / 2, d.y + d.height / 2) for d in report.detections]
    held = sum(any(x <= a < x + w and y <= b < y + h for x, y, w, h in first.parts) for a, b in centres)
    assert held == first.mitotic_figures
    assert first.tissue_fraction == pytest.approx(1, abs=0.02)
    assert first.width == pytest.approx(max(x + w for x, _, w, _ in first.parts) - first.x, abs=0.02)
    assert report.settings.counting is not None
    assert report.settings.counting.fields == 20
    assert (
        report.analysis_id
        == recount(
            analysis, CountingOptions(hotspot_shape="fields", hotspot_area=0.1, fields=20, profile="none")
        ).report.analysis_id
    )


def test_it_is_counted_again_in_other_shapes_and_back(analysis: Analysis) -> None:
    plain = recount(analysis, CountingOptions(hotspot_area=0.1, profile="none")).report
    assert plain.hotspots[0].parts is None
    assert plain.hotspots[0].shape == "rectangle"
    field = recount(
        analysis, CountingOptions(hotspot_shape="fields", hotspot_area=0.1, profile="none"), fields=[(400, 400)]
    )
    assert field.report.fields[0].shape == "rectangle"
    assert len(field.report.hotspots[0].parts or []) == 10


def test_exports_draw_what_the_fields_cover(analysis: Analysis) -> None:
    drawn = json.loads(EXPORTS["geojson"].render(analysis))
    (outline,) = [f for f in drawn["features"] if f["properties"].get("name", "").startswith("Hotspot 1:")]
    shape = shapely.from_geojson(json.dumps(outline["geometry"]))
    assert shape.is_valid
    assert shape.geom_type == "Polygon"
    assert shape.area * 0.25**2 / 1e6 == pytest.approx(0.1, rel=0.01)
    assert EXPORTS["png"].render(analysis)[:4] == b"\x89PNG"
    assert "20 connected fields" in EXPORTS["html"].render(analysis).decode()


def test_two_sets_of_fields_overlap_by_what_they_share(analysis: Analysis) -> None:
    first = analysis.report.hotspots[0]
    assert hotspot_iou(first, first) == pytest.approx(1)
    box = first.model_copy(update={"parts": None, "shape": "rectangle"})
    covered = first.area_mm2 * 1e6 / 0.25**2
    assert hotspot_iou(first, box) == pytest.approx(covered / (first.width * first.height), rel=0.01)
