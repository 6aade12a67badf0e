"""detections.parquet: the columns of detections.csv, with what they are in the file's metadata."""

import io

from serving.exports.detections_csv import ATYPIA_COLUMNS, COLUMNS, ENSEMBLE_COLUMN, REVIEW_COLUMNS
from serving.exports.export import EXPORTS, Export, import_extra, whole
from serving.exports.figures import list_objects, state_atypia, state_review
from serving.scoring.analysis import Analysis


def to_parquet(analysis: Analysis) -> bytes:
    """A row a mitotic figure, float64, level-0 px; `analysis`, `slide`, `mpp` and `research_use` in the metadata.

    After review it has the columns `figure` (bool), `found_by` and `verdict`, rows for what was rejected, and in the metadata
    whose review it is. Where an atypia model was asked, it has `atypical_probability` (float64) and `atypical` (bool), null of
    what a reviewer added, and in the metadata the model and its threshold. Of an ensemble it has `detectors` (string).

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
    if report.atypia is not None:
        said = [[getattr(d, name) for d in shown] for name in ATYPIA_COLUMNS]
        columns |= {
            name: arrow.array(values, kind)
            for name, values, kind in zip(ATYPIA_COLUMNS, said, (arrow.float64(), arrow.bool_()), strict=True)
        }
    if report.ensemble is not None:
        words = [d.ensemble_words.get(ENSEMBLE_COLUMN) for d in shown]
        columns[ENSEMBLE_COLUMN] = arrow.array(words, arrow.string())
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(columns).replace_schema_metadata(about | review | state_atypia(report)), buffer)
    return buffer.getvalue()


EXPORTS.add(
    "parquet",
    Export(
        "detections.parquet", "parquet", "application/vnd.apache.parquet", whole(to_parquet), shows_review=True, rank=11
    ),
)
