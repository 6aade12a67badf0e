"""detections.csv."""

import csv
import io
from collections.abc import Iterator

from serving.core.report import Report
from serving.exports.export import EXPORTS, Export, streamed
from serving.exports.figures import list_objects, state_review
from serving.exports.streaming import in_chunks
from serving.scoring.analysis import Analysis

COLUMNS = ("x", "y", "width", "height", "probability", "score")
REVIEW_COLUMNS = ("figure", "found_by", "verdict")
"""What a table says beside, after review; what was rejected is no `figure`."""


def to_detections_csv(analysis: Analysis) -> Iterator[bytes]:
    """A line a mitotic figure, level-0 px, (x, y) top left; after review a line for what reviewers added or rejected, too.

    A table has no place for what holds for all lines, so that after review each line states `threshold` and `reviewers`.
    """
    report = analysis.report
    review = state_review(report)
    more = (*REVIEW_COLUMNS, "threshold", "reviewers") if review else ()
    return in_chunks(",".join((*COLUMNS, *more)) + "\n", _lines(report, review), "", between="")


def _lines(report: Report, review: dict[str, str]) -> Iterator[str]:
    for shown in list_objects(report):
        values = [getattr(shown, name) for name in COLUMNS]
        if not review:
            yield ",".join(map(str, values)) + "\n"
            continue
        line = io.StringIO()
        said = ["yes" if shown.is_figure else "no", shown.found_by, shown.verdict]
        csv.writer(line, lineterminator="\n").writerow([*values, *said, review["threshold"], review["reviewers"]])
        yield line.getvalue()


EXPORTS.add(
    "detections-csv",
    Export(
        "detections.csv",
        "detections.csv",
        "application/vnd.mitoserve.detections+csv",
        streamed(to_detections_csv),
        shows_review=True,
        rank=10,
    ),
)
