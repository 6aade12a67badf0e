"""What reviewers corrected, as GeoJSON that QuPath reads and that `python -m training import qupath` learns from."""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from serving.core.report import Report
from serving.core.research_use import RESEARCH_USE
from serving.review.review_entry import FIGURE, LABELS, NOT_FIGURE, Box, make_detection_target
from serving.review.verdicts import Verdicts, Who

SHOWN_UM = 64.0
"""Side of what a reviewer is shown of a candidate; there, and nowhere else, the slide counts as reviewed."""
_REVIEWED = "Reviewed area"
_COLOURS = {FIGURE: [200, 0, 0], NOT_FIGURE: [0, 114, 178], _REVIEWED: [120, 120, 120]}


def corrections(report: Report, verdicts: Mapping[Who, Verdicts], added: Mapping[str, Box]) -> bytes:
    """A feature for each object that was judged and one for the area around it, in px as QuPath counts them.

    Those are px of the file, from where the slide's bounds begin.
    Where reviewers differ, most of them decide; objects on which as many say yes as no are left out, with their area.
    """
    boxes = {make_detection_target(i): (d.x, d.y, d.width, d.height) for i, d in enumerate(report.detections)} | dict(
        added
    )
    features = []
    for target, is_figure, names in _find_decided(verdicts):
        name = FIGURE if is_figure else NOT_FIGURE
        features.append(_feature(report, target, boxes[target], name, {"labels": "; ".join(names)}))
        features.append(_feature(report, f"{target}/area", _around(boxes[target], report), _REVIEWED, {}))
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":")).encode() + b"\n"


def _find_decided(verdicts: Mapping[Who, Verdicts]) -> Iterable[tuple[str, bool, list[str]]]:
    """Each object on which a majority says the same: its target, what they say, and every label that was given."""
    said: dict[str, Counter[str]] = {}
    for own in verdicts.values():
        for target, label in own.items():
            said.setdefault(target, Counter())[label] += 1
    for target, labels in sorted(said.items(), key=lambda item: (item[0].split("-")[0], int(item[0].split("-")[1]))):
        balance = sum(n if LABELS[label] else -n for label, n in labels.items())
        if balance:
            yield target, balance > 0, [label for label, n in sorted(labels.items()) for _ in range(n)]


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
