"""detections.csv."""

from collections.abc import Iterator

from serving.core.report import Report, ReviewedCounts
from serving.exports.export import EXPORTS, Export, streamed
from serving.exports.streaming import in_chunks
from serving.scoring.analysis import Analysis

COLUMNS = ("x", "y", "width", "height", "probability", "score")


def to_detections_csv(analysis: Analysis) -> Iterator[bytes]:
    """A line a mitotic figure, level-0 px, (x, y) top left; after review a line for what reviewers added or rejected, too."""
    report = analysis.report
    if report.review is None:
        lines = (",".join(str(getattr(d, name)) for name in COLUMNS) + "\n" for d in report.detections)
        return in_chunks(",".join(COLUMNS) + "\n", lines, "", between="")
    return in_chunks(",".join((*COLUMNS, "review")) + "\n", _reviewed_lines(report, report.review), "", between="")


def _reviewed_lines(report: Report, review: ReviewedCounts) -> Iterator[str]:
    judged = {(o.x, o.y): o for o in review.objects}
    for d in report.detections:
        verdict = judged.pop((d.x, d.y), None)
        label = "not judged" if verdict is None else verdict.label
        yield ",".join([*(str(getattr(d, name)) for name in COLUMNS), label]) + "\n"
    for o in judged.values():
        probability = "" if o.probability is None else str(o.probability)
        yield f"{o.x},{o.y},{o.width},{o.height},{probability},,{o.label}\n"


EXPORTS.add(
    "detections-csv",
    Export(
        "detections.csv",
        "detections.csv",
        "application/vnd.mitoserve.detections+csv",
        streamed(to_detections_csv),
        rank=10,
    ),
)
