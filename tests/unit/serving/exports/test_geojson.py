"""The rules are those of QuPath's reader."""

import json
import uuid

from serving.core.counts import Hotspot
from serving.core.report import DetectionResult, TileResult
from serving.exports.geojson import to_geojson
from serving.scoring.analysis import Analysis


def _render(analysis: Analysis) -> bytes:
    return b"".join(to_geojson(analysis))


def test_every_feature_is_as_qupath_wants_it(analysis: Analysis) -> None:
    collection = json.loads(_render(analysis))
    assert collection["type"] == "FeatureCollection"
    features = collection["features"]
    for feature in features:
        assert feature["type"] == "Feature"
        assert str(uuid.UUID(feature["id"])) == feature["id"]
        assert feature["geometry"]["type"] == "Polygon"
        (ring,) = feature["geometry"]["coordinates"]
        assert len(ring) == 5
        assert ring[0] == ring[-1]
        properties = feature["properties"]
        assert properties["objectType"] in {"detection", "annotation", "tile"}
        if properties["objectType"] != "tile":
            assert set(properties["classification"]) == {"name", "color"}
            assert all(0 <= c <= 255 for c in properties["classification"]["color"])
        assert all(isinstance(v, int | float) for v in properties["measurements"].values())
        assert all(isinstance(v, str) for v in properties["metadata"].values())
    assert len({feature["id"] for feature in features}) == len(features)


def test_boxes_are_those_of_the_report_in_level_0_px(analysis: Analysis) -> None:
    features = json.loads(_render(analysis))["features"]
    report = analysis.report
    kinds = [feature["properties"]["objectType"] for feature in features]
    counts = [kinds.count(kind) for kind in ("detection", "annotation", "tile")]
    assert counts == [len(report.detections), len(report.hotspots), len(report.tiles)]
    boxes: list[DetectionResult | Hotspot | TileResult] = [*report.detections, *report.hotspots, *report.tiles]
    for feature, box in zip(features, boxes, strict=True):
        xs, ys = zip(*feature["geometry"]["coordinates"][0], strict=True)
        assert abs(min(xs) - box.x) < 0.02
        assert abs(min(ys) - box.y) < 0.02
        assert abs(max(xs) - box.x - box.width) < 0.02
        assert abs(max(ys) - box.y - box.height) < 0.02


def test_it_is_the_same_every_time(analysis: Analysis) -> None:
    assert _render(analysis) == _render(analysis)
