"""midog.json: detections as the MIDOG challenges take them, in mm."""

import json
from collections.abc import Iterator

from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import list_figures, state_atypia, state_review
from serving.scoring.analysis import Analysis

UM_PER_MM = 1000


def to_midog(analysis: Analysis) -> Iterator[bytes]:
    """A point a figure, its centre in mm, by the resolution that the analysis used; without one there is no analysis."""
    report = analysis.report
    mm, review = report.slide.mpp / UM_PER_MM, state_review(report)
    points = (
        json.dumps(
            {"point": [figure.centre[0] * mm, figure.centre[1] * mm, 0]}
            | ({} if figure.probability is None else {"probability": figure.probability})
            | {"name": "mitotic figure"}
            | figure.statement
            | figure.atypia
            | figure.ensemble
        )
        for figure in list_figures(report)
    )
    stated = f',"review":{json.dumps(review)}' if review else ""
    if atypia := state_atypia(report):
        stated += f',"atypia":{json.dumps(atypia)}'
    return in_chunks('{"type":"Multiple points","points":[', points, f'],"version":{{"major":1,"minor":0}}{stated}}}\n')


EXPORTS.add(
    "midog",
    Export("midog.json", "midog.json", "application/vnd.midog+json", streamed(to_midog), shows_review=True, rank=8),
)
