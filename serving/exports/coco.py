"""coco.json: one image and its boxes, for the COCO tools."""

import json
from collections.abc import Iterator

from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import list_figures, state_atypia, state_review
from serving.scoring.analysis import Analysis


def to_coco(analysis: Analysis) -> Iterator[bytes]:
    """Boxes [x, y, width, height] in level-0 px, with their probability as `score`, which what reviewers added has not.

    What an atypia model says of a figure is in its `attributes`.
    """
    report = analysis.report
    about = {"description": report.research_use, "version": report.schema_version, "analysis": report.analysis_id}
    head = {
        "info": about | state_review(report) | state_atypia(report),
        "licenses": [],
        "images": [
            {"id": 1, "file_name": report.slide.name, "width": report.slide.width, "height": report.slide.height}
        ],
        "categories": [{"id": 1, "name": "mitotic figure"}],
    }
    boxes = (
        json.dumps(
            {
                "id": i,
                "image_id": 1,
                "category_id": 1,
                "bbox": [d.x, d.y, d.width, d.height],
                "area": round(d.width * d.height, 2),
                "iscrowd": 0,
            }
            | ({} if d.probability is None else {"score": d.probability})
            | d.statement
            | ({"attributes": d.atypia | d.ensemble} if d.atypia or d.ensemble else {})
        )
        for i, d in enumerate(list_figures(report), 1)  # pycocotools takes 0 for no match
    )
    return in_chunks(json.dumps(head)[:-1] + ',"annotations":[', boxes, "]}\n")


EXPORTS.add(
    "coco", Export("coco.json", "coco.json", "application/vnd.coco+json", streamed(to_coco), shows_review=True, rank=9)
)
