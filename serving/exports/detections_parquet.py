"""detections.parquet: the columns of detections.csv, with what they are in the file's metadata."""

import io

from serving.exports.detections_csv import COLUMNS
from serving.exports.errors import import_extra
from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis


def to_parquet(analysis: Analysis) -> bytes:
    """A row a mitotic figure, float64, level-0 px; `analysis`, `slide`, `mpp` and `research_use` in the metadata.

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
    columns = {name: arrow.array([getattr(d, name) for d in report.detections], arrow.float64()) for name in COLUMNS}
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata(about), buffer)
    return buffer.getvalue()


EXPORTS.add(
    "parquet", Export("detections.parquet", "parquet", "application/vnd.apache.parquet", whole(to_parquet), rank=11)
)
