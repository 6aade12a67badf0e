"""detections.parquet: the columns of detections.csv, with what they are in the file's metadata."""

import io

from serving.exports.detections_csv import COLUMNS, REVIEW_COLUMNS
from serving.exports.errors import import_extra
from serving.exports.export import EXPORTS, Export, whole
from serving.exports.figures import list_objects, state_review
from serving.scoring.analysis import Analysis


def to_parquet(analysis: Analysis) -> bytes:
    """A row a mitotic figure, float64, level-0 px; `analysis`, `slide`, `mpp` and `research_use` in the metadata.

    After review it has the columns `figure` (bool), `found_by` and `verdict`, rows for what was rejected, and in the metadata
    whose review it is.

    Raises
    ------
    ExportError
        If pyarrow is not installed.
    """
    arrow, parquet = import_extra("pyarrow", "parquet"), import_extra("pyarrow.parquet", "parquet")
    report = analysis.report
    about = {
        "analysis": report.analysis_id,
        "slide": report.slide.sha256,
        "mpp": str(report.slide.mpp),
        "research_use": report.research_use,
    }
    shown, review = list(list_objects(report)), state_review(report)
    columns = {name: arrow.array([getattr(d, name) for d in shown], arrow.float64()) for name in COLUMNS}
    if review:
        flags = arrow.array([d.is_figure for d in shown], arrow.bool_())
        words = [arrow.array([getattr(d, name) for d in shown], arrow.string()) for name in REVIEW_COLUMNS[1:]]
        columns |= dict(zip(REVIEW_COLUMNS, [flags, *words], strict=True))
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata(about | review), buffer)
    return buffer.getvalue()


EXPORTS.add(
    "parquet",
    Export(
        "detections.parquet", "parquet", "application/vnd.apache.parquet", whole(to_parquet), shows_review=True, rank=11
    ),
)
