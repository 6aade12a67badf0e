"""detections.geojson, by the rules of QuPath's reader (QuPathTypeAdapters.java)."""

import json
import uuid
from typing import Any

from serving.report import Report
from serving.scoring.analysis import Analysis
from serving.wsi.modelcard import RESEARCH_USE

MITOSIS = {"name": "Mitosis", "color": [200, 0, 0]}
HOTSPOT = {"name": "Mitotic hotspot", "color": [0, 114, 178]}
"""QuPath throws on a classification object without a colour."""


def to_geojson(analysis: Analysis) -> bytes:
    """Mitotic figures as QuPath detections and hotspots as annotations, level-0 px, rings closed."""
    report = analysis.report
    features = [
        _feature(
            report,
            f"detection-{i}",
            (d.x, d.y, d.width, d.height),
            {
                "objectType": "detection",
                "classification": MITOSIS,
                "measurements": {"probability": d.probability, "screening score": d.score},
            },
        )
        for i, d in enumerate(report.detections)
    ]
    features += [
        _feature(
            report,
            f"hotspot-{i}",
            (h.x, h.y, h.width, h.height),
            {
                "objectType": "annotation",
                "name": f"Hotspot {i + 1}: {h.mitotic_figures} mitotic figures in {h.area_mm2:g} mm2",
                "isLocked": True,
                "classification": HOTSPOT,
                "measurements": {"mitotic figures": h.mitotic_figures, "per mm2": h.per_mm2},
            },
        )
        for i, h in enumerate(report.hotspots)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    return json.dumps(collection, separators=(",", ":")).encode() + b"\n"


def _feature(
    report: Report, key: str, box: tuple[float, float, float, float], properties: dict[str, Any]
) -> dict[str, Any]:
    x, y, width, height = box
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    metadata = {"analysis": report.analysis_id, "use": RESEARCH_USE}
    return {
        "type": "Feature",
        # QuPath wants UUIDs; these are the same whenever the analysis is.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/{key}")),
        "geometry": {"type": "Polygon", "coordinates": [[[round(a, 2), round(b, 2)] for a, b in ring]]},
        "properties": {**properties, "metadata": metadata},
    }
