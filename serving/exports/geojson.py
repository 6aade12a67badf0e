"""detections.geojson, by the rules of QuPath's reader (QuPathTypeAdapters.java)."""

import json
import math
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

from serving.core.report import Hotspot, Report
from serving.core.research_use import RESEARCH_USE
from serving.core.words import format_count
from serving.exports.export import EXPORTS, Export, streamed
from serving.exports.file_px import in_file_px
from serving.exports.streaming import in_chunks
from serving.scoring.analysis import Analysis

MITOSIS = {"name": "Mitosis", "color": [200, 0, 0]}
NOT_MITOSIS = {"name": "Not mitosis", "color": [0, 114, 178]}
HOTSPOT = {"name": "Mitotic hotspot", "color": [0, 114, 178]}
"""QuPath throws on a classification object without a colour."""
CIRCLE_POINTS = 96
Ring = list[tuple[float, float]]


def to_geojson(analysis: Analysis) -> Iterator[bytes]:
    """Mitotic figures as QuPath detections, hotspots as annotations, tiles with their scores; rings closed.

    Level-0 px from `SlideInfo.origin`, where QuPath's own begin.
    """
    features = (json.dumps(f, separators=(",", ":")) for f in _features(in_file_px(analysis.report)))
    return in_chunks('{"type":"FeatureCollection","features":[', features, "]}\n")


def to_gzipped_geojson(analysis: Analysis) -> Iterator[bytes]:
    """The same, compressed; the same bytes every time."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in to_geojson(analysis):
        yield packer.compress(chunk)
    yield packer.flush()


def _features(report: Report) -> Iterator[dict[str, Any]]:
    score = "screening score" if report.settings.map_shows == "screening scores" else report.settings.score_name
    judged = {(o.x, o.y): o for o in (() if report.review is None else report.review.objects)}
    for i, d in enumerate(report.detections):
        measured = {"probability": d.probability, score: d.score}
        verdict = judged.pop((d.x, d.y), None)
        figure: dict[str, Any] = {"objectType": "detection", "classification": MITOSIS, "measurements": measured}
        if report.review is not None:
            figure["name"] = "not judged" if verdict is None else verdict.label
        if verdict is not None and not verdict.is_figure:
            figure["classification"] = NOT_MITOSIS
        yield _feature(report, f"detection-{i}", _rectangle(d.x, d.y, d.width, d.height), figure)
    for o in judged.values():  # added, or judged below the threshold
        found = {"objectType": "detection", "classification": MITOSIS if o.is_figure else NOT_MITOSIS, "name": o.label}
        yield _feature(report, f"review-{o.target}", _rectangle(o.x, o.y, o.width, o.height), found)
    for i, h in enumerate(report.hotspots):
        yield _feature(report, f"hotspot-{i}", _outline(h), _window(h, f"Hotspot {i + 1}"))
    for i, h in enumerate(report.fields):
        yield _feature(report, f"field-{i}", _outline(h), _window(h, f"Field {i + 1}"))
    for t in report.tiles:
        measured = {"max score": t.max_score, "mitotic figures": t.mitotic_count, "tissue fraction": t.tissue_fraction}
        tile = {"objectType": "tile", "measurements": measured}
        yield _feature(report, f"tile-{t.x}-{t.y}", _rectangle(t.x, t.y, t.width, t.height), tile)


def _window(window: Hotspot, name: str) -> dict[str, Any]:
    measured: dict[str, float] = {"mitotic figures": window.mitotic_figures, "per mm2": window.per_mm2}
    if window.reviewed is not None:
        measured |= {"after review": window.reviewed.mitotic_figures, "after review per mm2": window.reviewed.per_mm2}
    return {
        "objectType": "annotation",
        "name": f"{name}: {format_count(window.mitotic_figures, 'mitotic figure')} in {window.area_mm2:g} mm2",
        "isLocked": True,
        "classification": HOTSPOT,
        "measurements": measured,
    }


def _feature(report: Report, key: str, ring: Ring, properties: dict[str, Any]) -> dict[str, Any]:
    left, top = report.slide.origin
    return {
        "type": "Feature",
        # QuPath wants UUIDs; these are the same whenever the analysis is.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/{key}")),
        "geometry": {"type": "Polygon", "coordinates": [[[round(x - left, 2), round(y - top, 2)] for x, y in ring]]},
        "properties": {**properties, "metadata": {"analysis": report.analysis_id, "use": RESEARCH_USE}},
    }


def _rectangle(x: float, y: float, width: float, height: float) -> Ring:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]


def _outline(hotspot: Hotspot) -> Ring:
    if hotspot.shape == "rectangle":
        return _rectangle(hotspot.x, hotspot.y, hotspot.width, hotspot.height)
    across, down, turn = hotspot.width / 2, hotspot.height / 2, 2 * math.pi / CIRCLE_POINTS
    ring = [
        (hotspot.x + across * (1 + math.cos(i * turn)), hotspot.y + down * (1 + math.sin(i * turn)))
        for i in range(CIRCLE_POINTS)
    ]
    return [*ring, ring[0]]


EXPORTS.add(
    "geojson", Export("detections.geojson", "geojson", "application/geo+json", streamed(to_geojson), usual=True, rank=1)
)


EXPORTS.add(
    "geojson-gz",
    Export("detections.geojson.gz", "geojson.gz", "application/gzip", streamed(to_gzipped_geojson), rank=5),
)
