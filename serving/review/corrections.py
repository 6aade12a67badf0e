"""What reviewers corrected, as GeoJSON that QuPath reads and that `python -m training import qupath` learns from."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.review.decisions import find_boxes, find_decided
from serving.review.verdicts import FIGURE, NOT_FIGURE, Box, Verdicts, Who

SHOWN_UM = 64.0
"""Side of what a reviewer is shown of a candidate; there, and nowhere else, the slide counts as reviewed."""
_REVIEWED = "Reviewed area"
_COLOURS = {FIGURE: [200, 0, 0], NOT_FIGURE: [0, 114, 178], _REVIEWED: [120, 120, 120]}


def corrections(report: Report, verdicts: Mapping[Who, Verdicts], added: Mapping[str, Box]) -> bytes:
    """A feature for each object that was judged and one for the area around it, in px as QuPath counts them.

    Those are px of the file, from where the slide's bounds begin.
    Where reviewers differ, most of them decide; objects on which as many say yes as no are left out, with their area.
    """
    boxes = find_boxes(report, added)
    features = []
    for decided in find_decided(verdicts):
        name, box = FIGURE if decided.is_figure else NOT_FIGURE, boxes[decided.target]
        features.append(_feature(report, decided.target, box, name, {"labels": "; ".join(decided.labels)}))
        features.append(_feature(report, f"{decided.target}/area", _around(box, report), _REVIEWED, {}))
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":")).encode() + b"\n"


def _around(box: Box, report: Report) -> Box:
    """The square of `SHOWN_UM` around a box's centre, inside the slide."""
    half = SHOWN_UM / report.slide.mpp / 2
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    left, top = max(x - half, 0), max(y - half, 0)
    return left, top, min(x + half, report.slide.width) - left, min(y + half, report.slide.height) - top


def _feature(report: Report, key: str, box: Box, name: str, more: dict[str, str]) -> dict[str, Any]:
    (across, down), (left, top) = report.slide.stored_scale or (1.0, 1.0), report.slide.origin
    x, y = (box[0] - left) * across, (box[1] - top) * down
    width, height = box[2] * across, box[3] * down
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/review/{key}")),
        "geometry": {"type": "Polygon", "coordinates": [[[round(a, 2), round(b, 2)] for a, b in ring]]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": _COLOURS[name]},
            "metadata": {"analysis": report.analysis_id, "use": RESEARCH_USE, **more},
        },
    }
