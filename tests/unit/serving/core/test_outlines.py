"""Regions as users state them: read, checked, placed on a slide, and asked what they hold."""

import json
from typing import Any

import numpy as np
import pytest

from serving.core.errors import RequestError, RoiError
from serving.core.outlines import MAX_OUTLINES, MAX_VERTICES, Outlines, hash_outlines, parse_outlines
from serving.core.report_parts import SlideInfo

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
HOLE = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
SLIDE = SlideInfo(
    name="slide.mrxs",
    sha256="0" * 64,
    width=1000,
    height=800,
    mpp=0.25,
    mpp_source="slide",
    vendor="mirax",
    bounds=(100, 50, 800, 700),
    stored_scale=None,
)


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(*features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


def test_qupath_s_annotations_keep_their_classification_and_other_objects_are_passed_over() -> None:
    found = parse_outlines(
        collection(
            feature(
                polygon(SQUARE, HOLE), objectType="annotation", classification={"name": "Tumor", "color": [200, 0, 0]}
            ),
            feature(polygon(SQUARE), objectType="annotation", name="by hand"),
            feature(polygon(SQUARE), classification={"names": ["Immune", "Positive"]}),
            feature(polygon(SQUARE)),
            feature(polygon(SQUARE), objectType="detection", classification={"name": "Mitosis"}),
            feature(polygon(SQUARE), objectType="tile"),
            feature({"type": "Point", "coordinates": [1, 2]}, objectType="annotation"),
        )
    )
    assert [one.name for one in found.outlines] == ["Tumor", "by hand", "Immune: Positive", "unnamed"]
    assert len(found.outlines[0].polygons[0]) == 2
    assert found.area == 100  # the hole of the first is filled by the others


@pytest.mark.parametrize(
    "document",
    [
        polygon(SQUARE, HOLE),
        feature(polygon(SQUARE, HOLE)),
        [feature(polygon(SQUARE, HOLE))],
        collection(feature(polygon(SQUARE, HOLE))),
        feature(
            {
                "type": "MultiPolygon",
                "coordinates": [[SQUARE, HOLE], [[[20, 0], [20, 0], [21, 0], [21, 0]]][:0] or [HOLE]],
            }
        ),
        feature(
            {
                "type": "GeometryCollection",
                "geometries": [polygon(SQUARE, HOLE), {"type": "Point", "coordinates": [0, 0]}],
            }
        ),
        polygon(SQUARE[:-1], HOLE[:-1]),
        polygon([[*point, 7] for point in SQUARE], HOLE),
    ],
)
def test_a_hole_is_no_part_whatever_the_polygon_lies_in(document: Any) -> None:
    filled = isinstance(document, dict) and document.get("geometry", {}).get("type") == "MultiPolygon"
    for stated in (document, json.dumps(document)):
        found = parse_outlines(stated)
        assert found.area == (100 if filled else 96)
        assert found.hold(np.asarray([[2.0, 2.0], [5.0, 5.0], [11.0, 5.0]])).tolist() == [True, filled, False]


def test_of_areas_that_share_an_edge_one_holds_a_point_on_it() -> None:
    left, right = parse_outlines(polygon(SQUARE)), parse_outlines(polygon([[x + 10, y] for x, y in SQUARE]))
    hole = parse_outlines(polygon(SQUARE, HOLE))
    corners = np.asarray([[0.0, 5.0], [5.0, 0.0], [0.0, 0.0], [10.0, 5.0], [5.0, 10.0], [10.0, 10.0]])
    assert left.hold(corners).tolist() == [True, True, True, False, False, False]
    assert right.hold(np.asarray([[10.0, 5.0]])).tolist() == [True]
    assert hole.hold(np.asarray([[4.0, 5.0], [6.0, 5.0]])).tolist() == [False, True]
    triangle = parse_outlines(polygon([[0, 0], [10, 10], [0, 10]]))
    other = parse_outlines(polygon([[0, 0], [10, 0], [10, 10]]))
    diagonal = np.asarray([[1.0, 1.0], [2.5, 2.5], [7.125, 7.125]])
    assert (triangle.hold(diagonal) ^ other.hold(diagonal)).all()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("7", "no GeoJSON"),
        ({"type": "Topology"}, "no geometry"),
        ({"type": "FeatureCollection"}, "no list"),
        (collection("x"), "no object"),
        (collection(), "no region"),
        (collection(feature(None)), "no geometry"),
        (collection(feature(polygon(SQUARE), objectType="detection")), "no region"),
        (feature({"type": "MultiPolygon", "coordinates": 5}), "no list of coordinates"),
        (feature(polygon(), name="empty"), "'empty' has an empty polygon"),
        (feature(polygon([]), name="empty"), "fewer than three corners"),
        (feature(polygon([[0, 0], [1, 1], [0, 0]]), name="line"), "'line' has a ring of fewer than three corners"),
        (feature(polygon([[0, 0], [5, 5], [9, 9], [0, 0]]), name="flat"), "'flat'"),
        (feature(polygon([[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]), name="bow"), "'bow' crosses or touches itself near 5, 5"),
        (feature(polygon(SQUARE, [[20, 20], [22, 20], [22, 22], [20, 20]])), "hole lies outside shell"),
        (feature(polygon([[0, 0], [10, float("nan")], [10, 10]]), name="n"), "'n' has a corner that is no pair of finite"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1e999, 0], [0, 9]]]}', "finite numbers"),
        (feature(polygon([[0, 0], [True, 0], [0, 9]])), "finite numbers"),
        (feature(polygon([[0, 0], ["1", 0], [0, 9]])), "finite numbers"),
        (collection(feature(polygon(SQUARE)), unit="mm"), "give one of QuPath px, level-0 px, um"),
        (collection(*[feature(polygon(SQUARE))] * (MAX_OUTLINES + 1)), "more than 2000 regions"),
        (feature(polygon([[i, i % 7] for i in range(MAX_VERTICES)])), "more than 50000 corners"),
    ],
)  # fmt: skip
def test_what_is_no_region_is_refused_with_what_to_do(document: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_outlines(document)


def stroke(*points: Any, width: Any = 4, name: str = "Tumor") -> dict[str, Any]:
    return feature({"type": "LineString", "coordinates": list(points)}, name=name, brushWidth=width)


def test_a_brush_s_strokes_are_areas_that_grow_into_what_they_touch() -> None:
    alone = parse_outlines(stroke([0, 0], [100, 0]))
    assert alone.area == pytest.approx(400 + 4 * np.pi, rel=0.01)
    assert parse_outlines(stroke([5, 5])).area == pytest.approx(4 * np.pi, rel=0.05)
    region = feature(polygon(SQUARE), name="Tumor")
    away, other = stroke([50, 50], [60, 60]), stroke([8, 5], [20, 5], name="Other")
    found = parse_outlines(collection(region, stroke([8, 5], [20, 5]), away, other))
    assert [one.name for one in found.outlines] == ["Tumor", "Tumor", "Other"]
    grown = parse_outlines(collection(found.outlines[0].as_feature()))
    assert grown.area == pytest.approx(100 + 40 + 2 * np.pi, rel=0.01)
    ring = parse_outlines(stroke([0, 0], [40, 0], [40, 40], [0, 40], [0, 0]))
    assert len(ring.outlines[0].polygons[0]) == 2
    assert parse_outlines(ring.as_geojson()) == ring
    both = parse_outlines(
        collection(region, feature(polygon([[x + 20, y] for x, y in SQUARE]), name="Tumor"), stroke([5, 5], [25, 5]))
    )
    assert len(both.outlines) == 1
    for bad, said in (
        (stroke([0, 0], width=0), "no width"),
        (stroke([0, 0], width=True), "no width"),
        (stroke(), "no line"),
        (stroke([0, None]), "no line"),
    ):
        with pytest.raises(RequestError, match=said):
            parse_outlines(bad)
    with pytest.raises(RequestError, match="more than 100 strokes"):
        parse_outlines(collection(*[away] * 101))


def test_outlines_are_in_the_px_of_whoever_wrote_them() -> None:
    shape = [[0, 0], [200, 0], [200, 100], [0, 100], [0, 0]]
    inside = np.asarray([[150.0, 100.0], [20.0, 20.0]])
    stretched = SLIDE.model_copy(update={"stored_scale": (2.0, 1.0)})
    for stated, slide, area, held in (
        ({}, SLIDE, 20_000, [True, False]),  # QuPath counts from the bounds of the slide
        ({"unit": "level-0 px"}, SLIDE, 20_000, [False, True]),
        ({"unit": "um"}, SLIDE, 320_000, [True, True]),
        ({}, stretched, 10_000, [True, False]),
    ):
        placed = parse_outlines(collection(feature(polygon(shape)), **stated)).place(slide)
        assert placed.unit == "level-0 px"
        assert placed.area == area
        assert placed.hold(inside).tolist() == held


def test_a_region_beside_the_slide_is_refused_and_one_across_its_border_is_not() -> None:
    beside = [[1000, 0], [1100, 0], [1100, 50], [1000, 0]]
    across = [[x - 50, y] for x, y in beside]
    unit = {"unit": "level-0 px"}
    assert parse_outlines(collection(feature(polygon(across)), **unit)).place(SLIDE).area == 2500
    with pytest.raises(RoiError, match="'far' lies outside the slide of 1000 x 800 px"):
        parse_outlines(collection(feature(polygon(across)), feature(polygon(beside), name="far"), **unit)).place(SLIDE)


def test_outlines_come_back_as_they_were_from_geojson_and_from_a_report() -> None:
    found = parse_outlines(
        collection(feature(polygon(SQUARE, HOLE), name="a"), feature(polygon(HOLE), name="b"), unit="um")
    )
    assert parse_outlines(json.dumps(found.as_geojson())) == found
    placed = found.place(SLIDE)
    stated = placed.as_report()
    assert Outlines.from_report(stated) == placed
    assert Outlines.from_report(None) is None
    assert hash_outlines(stated, None) == hash_outlines(placed.as_report(), None) != hash_outlines(None, stated)
    assert hash(found) == hash(parse_outlines(found.as_geojson()))


def test_edges_run_around_each_area_and_each_hole_once() -> None:
    edges = parse_outlines(collection(feature(polygon(SQUARE, HOLE)), feature(polygon(SQUARE, HOLE)))).edges
    assert edges.shape == (8, 2, 2)
    assert np.abs(edges[:, 1] - edges[:, 0]).sum() == 40 + 8
