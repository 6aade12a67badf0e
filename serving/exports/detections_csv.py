"""detections.csv."""

from collections.abc import Iterator

from serving.exports.export import EXPORTS, Export, streamed
from serving.exports.streaming import in_chunks
from serving.scoring.analysis import Analysis

COLUMNS = ("x", "y", "width", "height", "probability", "score")


def to_detections_csv(analysis: Analysis) -> Iterator[bytes]:
    """A line a mitotic figure, level-0 px, (x, y) top left."""
    lines = (",".join(str(getattr(d, name)) for name in COLUMNS) + "\n" for d in analysis.report.detections)
    return in_chunks(",".join(COLUMNS) + "\n", lines, "", between="")


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
