"""detections.csv."""

import csv
import io
from collections.abc import Iterator

from serving.core.report import Report
from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import ShownObject, list_objects, state_review
from serving.scoring.analysis import Analysis

COLUMNS = ("x", "y", "width", "height", "probability", "score")
REVIEW_COLUMNS = ("figure", "found_by", "verdict")
"""What a table says beside, after review; what was rejected is no `figure`."""
ATYPIA_COLUMNS = ("atypical_probability", "atypical")
"""What a table says last, where an atypia model was asked."""
ENSEMBLE_COLUMN = "detectors"
"""What it says after that, of an ensemble: which detectors found the figure, and with what probabilities."""


def to_detections_csv(analysis: Analysis) -> Iterator[bytes]:
    """A line a mitotic figure, level-0 px, (x, y) top left; after review a line for what reviewers added or rejected, too.

    A table has no place for what holds for all lines, so that after review each line states `threshold` and `reviewers`. Where an
    atypia model was asked, each line ends with its probability and yes or no, both empty of what a reviewer added; of an
    ensemble the detectors that found the figure follow.
    """
    report = analysis.report
    review = state_review(report)
    more = (*REVIEW_COLUMNS, "threshold", "reviewers") if review else ()
    last = (
        *(() if report.atypia is None else ATYPIA_COLUMNS),
        *(() if report.ensemble is None else (ENSEMBLE_COLUMN,)),
    )
    return in_chunks(",".join((*COLUMNS, *more, *last)) + "\n", _lines(report, review), "", between="")


def _lines(report: Report, review: dict[str, str]) -> Iterator[str]:
    for shown in list_objects(report):
        values = [getattr(shown, name) for name in COLUMNS]
        last = [] if report.atypia is None else _state_atypia(shown)
        last += [] if report.ensemble is None else [shown.ensemble_words.get(ENSEMBLE_COLUMN, "")]
        if not review:
            yield ",".join(map(str, [*values, *last])) + "\n"
            continue
        line = io.StringIO()
        said = ["yes" if shown.is_figure else "no", shown.found_by, shown.verdict]
        csv.writer(line, lineterminator="\n").writerow(
            [*values, *said, review["threshold"], review["reviewers"], *last]
        )
        yield line.getvalue()


def _state_atypia(shown: ShownObject) -> list[str]:
    return [shown.atypia_words.get(name, "") for name in ATYPIA_COLUMNS]


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
