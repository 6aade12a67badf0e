"""detections.geojson, by the rules of QuPath's reader (QuPathTypeAdapters.java)."""

import json
import math
import uuid
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import shapely

from serving.core.counts import Hotspot, NamedOutline
from serving.core.report import Report
from serving.core.words import RESEARCH_USE, format_count
from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import (
    count_shown,
    count_shown_by_tile,
    list_hotspots,
    list_objects,
    list_regions,
    state_atypia,
    state_review,
)
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

MITOSIS = {"name": "Mitosis", "color": [200, 0, 0]}
NOT_MITOSIS = {"name": "Not mitosis", "color": [0, 114, 178]}
HOTSPOT = {"name": "Mitotic hotspot", "color": [0, 114, 178]}
"""QuPath throws on a classification object without a colour."""
REGION_NAMES = {"within": "counted in", "exclude": "left out"}
REGION_COLOURS = {"within": [0, 158, 115], "exclude": [120, 120, 120]}
CIRCLE_POINTS = 96
_GRID_PX = 0.1
Ring = list[tuple[float, float]]


def to_geojson(analysis: Analysis) -> Iterator[bytes]:
    """Mitotic figures as QuPath detections, hotspots and regions as annotations, tiles with their scores; rings closed.

    Level-0 px from `SlideInfo.origin`, where QuPath's own begin. After review what was rejected is there as "Not mitosis".
    """
    report = in_file_px(analysis.report)
    features = (json.dumps(f, separators=(",", ":")) for f in _features(report, count_shown_by_tile(analysis)))
    review = state_review(report)
    stated = f'"review":{json.dumps(review)},' if review else ""
    if atypia := state_atypia(report):
        stated += f'"atypia":{json.dumps(atypia)},'
    return in_chunks(f'{{"type":"FeatureCollection",{stated}"features":[', features, "]}\n")


def draw_regions(report: Report) -> bytes:
    """The regions alone, as QuPath reads them: those that are counted in and those that are left out."""
    report = in_file_px(report)
    features = [
        _region(report, f"{use}-{i}", outline, use)
        for use, outlines in list_regions(report)
        for i, outline in enumerate(outlines)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":")).encode() + b"\n"


def to_gzipped_geojson(analysis: Analysis) -> Iterator[bytes]:
    """The same, compressed; the same bytes every time."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in to_geojson(analysis):
        yield packer.compress(chunk)
    yield packer.flush()


def _features(report: Report, after_review: list[int] | None) -> Iterator[dict[str, Any]]:
    """after_review : figures of each tile; None where the report states no review."""
    score = "screening score" if report.settings.map_shows == "screening scores" else report.settings.score_name
    for o in list_objects(report):
        measured = {"probability": o.probability, score: o.score, "atypical probability": o.atypical_probability}
        figure: dict[str, Any] = {
            "objectType": "detection",
            "classification": MITOSIS if o.is_figure else NOT_MITOSIS,
            "measurements": {name: value for name, value in measured.items() if value is not None}
            | {f"probability of {name}": value for name, value in (o.detectors or {}).items()},
        }
        if o.verdict is not None:
            figure["name"] = o.verdict
        yield _feature(
            report,
            o.key,
            _rectangle(o.x, o.y, o.width, o.height),
            figure,
            o.statement | o.atypia_words | o.ensemble_words,
        )
    for i, h in enumerate(list_hotspots(report)):
        yield _outlined(report, f"hotspot-{i}", h, _window(h, f"Hotspot {i + 1}"))
    for i, h in enumerate(report.fields):
        yield _outlined(report, f"field-{i}", h, _window(h, f"Field {i + 1}"))
    for use, outlines in list_regions(report):
        for i, outline in enumerate(outlines):
            yield _region(report, f"{use}-{i}", outline, use)
    for i, t in enumerate(report.tiles):
        measured = {"max score": t.max_score, "mitotic figures": t.mitotic_count, "tissue fraction": t.tissue_fraction}
        if after_review is not None:
            measured["after review"] = after_review[i]
        tile = {"objectType": "tile", "measurements": measured}
        yield _feature(report, f"tile-{t.x}-{t.y}", _rectangle(t.x, t.y, t.width, t.height), tile)


def _region(report: Report, key: str, outline: NamedOutline, use: str) -> dict[str, Any]:
    """An annotation of what is counted in or left out, of the classification that it came with."""
    annotation = {
        "objectType": "annotation",
        "name": REGION_NAMES[use],
        "classification": {"name": outline.name, "color": REGION_COLOURS[use]},
    }
    feature = _feature(report, key, [], annotation, {"counts": use})
    left, top = report.slide.origin
    rings = [[[[round(x - left, 2), round(y - top, 2)] for x, y in r] for r in polygon] for polygon in outline.polygons]
    return feature | {"geometry": {"type": "MultiPolygon", "coordinates": rings}}


def _window(window: Hotspot, name: str) -> dict[str, Any]:
    measured: dict[str, float] = {"mitotic figures": window.mitotic_figures, "per mm2": window.per_mm2}
    if window.reviewed is not None:
        measured |= {"after review": window.reviewed.mitotic_figures, "after review per mm2": window.reviewed.per_mm2}
    for side, called in ((window, "atypical figures"), (window.reviewed, "atypical after review")):
        if side is not None and side.atypical is not None:
            measured[called] = side.atypical.figures
    reviewed = "" if window.reviewed is None else " after review"
    return {
        "objectType": "annotation",
        "name": f"{name}: {format_count(count_shown(window), 'mitotic figure')}{reviewed} in {window.area_mm2:g} mm2",
        "isLocked": True,
        "classification": HOTSPOT,
        "measurements": measured,
    }


def _feature(
    report: Report, key: str, ring: Ring, properties: dict[str, Any], said: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A feature with an id of its own. said : further metadata, words by name."""
    left, top = report.slide.origin
    return {
        "type": "Feature",
        # QuPath wants UUIDs; these are the same whenever the analysis is.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/{key}")),
        "geometry": {"type": "Polygon", "coordinates": [[[round(x - left, 2), round(y - top, 2)] for x, y in ring]]},
        "properties": {
            **properties,
            "metadata": {"analysis": report.analysis_id, "use": RESEARCH_USE, **(said or {})},
        },
    }


def _outlined(report: Report, key: str, window: Hotspot, properties: dict[str, Any]) -> dict[str, Any]:
    """A window as a feature; of connected fields, what they cover together."""
    feature = _feature(report, key, _outline(window), properties)
    if window.parts is None:
        return feature
    left, top = report.slide.origin
    # Sides of neighbours are rounded, so that they need not meet to the last digit.
    boxes = [shapely.box(x - left, y - top, x - left + w, y - top + h) for x, y, w, h in window.parts]
    covered = shapely.union_all(boxes, grid_size=_GRID_PX)
    return feature | {"geometry": json.loads(shapely.to_geojson(covered))}


def _rectangle(x: float, y: float, width: float, height: float) -> Ring:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]


def _outline(hotspot: Hotspot) -> Ring:
    if hotspot.shape != "disc":
        return _rectangle(hotspot.x, hotspot.y, hotspot.width, hotspot.height)
    across, down, turn = hotspot.width / 2, hotspot.height / 2, 2 * math.pi / CIRCLE_POINTS
    ring = [
        (hotspot.x + across * (1 + math.cos(i * turn)), hotspot.y + down * (1 + math.sin(i * turn)))
        for i in range(CIRCLE_POINTS)
    ]
    return [*ring, ring[0]]


EXPORTS.add(
    "geojson",
    Export(
        "detections.geojson",
        "geojson",
        "application/geo+json",
        streamed(to_geojson),
        usual=True,
        shows_review=True,
        rank=1,
    ),
)


EXPORTS.add(
    "geojson-gz",
    Export(
        "detections.geojson.gz",
        "geojson.gz",
        "application/gzip",
        streamed(to_gzipped_geojson),
        shows_review=True,
        rank=5,
    ),
)
