"""midog.json: detections as the MIDOG challenges take them, in mm."""

import json
from collections.abc import Iterator

from serving.exports.export import EXPORTS, Export, streamed
from serving.exports.streaming import in_chunks
from serving.scoring.analysis import Analysis

UM_PER_MM = 1000


def to_midog(analysis: Analysis) -> Iterator[bytes]:
    """A point a figure, its centre in mm, by the resolution that the analysis used; without one there is no analysis."""
    mm = analysis.report.slide.mpp / UM_PER_MM
    points = (
        json.dumps(
            {
                "point": [(d.x + d.width / 2) * mm, (d.y + d.height / 2) * mm, 0],
                "probability": d.probability,
                "name": "mitotic figure",
            }
        )
        for d in analysis.report.detections
    )
    return in_chunks('{"type":"Multiple points","points":[', points, '],"version":{"major":1,"minor":0}}\n')


EXPORTS.add("midog", Export("midog.json", "midog.json", "application/vnd.midog+json", streamed(to_midog), rank=8))
