"""AMi-Br: 128 px crops of breast figures, normal or atypical. "NMF" there means normal mitotic figure, not non-mitotic."""

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.import_report import ImportReport
from serving.datasets.patient import parse_case
from serving.datasets.readers.crops import Crop, crops_dataset
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "amibr"
_COLUMNS = ("slide", "dataset", "uid", "x", "y", "expert1_label", "expert2_label", "majority_atypical")
_KINDS = {"True": "atypical", "False": "normal"}


@reader(
    FORMAT, summary="CSV of AMi-Br crops", takes="file", licence="MIT; pictures of TUPAC16 and MIDOG 2021 (CC BY-NC-ND)"
)
def read_amibr(source: Source, report: ImportReport) -> Dataset:
    """Crops that the CSV lists: every one a mitotic figure, its case that of TUPAC16 or MIDOG.

    A crop's file is what a column `file` says, else `<dataset>_<uid>` with any suffix.

    Raises
    ------
    FormatError
        If the CSV is not laid out as published.
    """
    crops = [_crop(row) for row in table_rows(source.path, _COLUMNS)]
    return crops_dataset(source, report, FORMAT, crops)


def _crop(row: Row) -> Crop:
    kind = row.text("majority_atypical")
    if kind not in _KINDS:
        raise row.error("majority_atypical", f"is {kind!r}, must be True or False")
    dataset, slide, name = row.text("dataset"), row.text("slide"), f"{row.text('dataset')}_{row.text('uid')}"
    return Crop(
        names=(row.optional("file"), name) if row.optional("file") else (name,),
        where=f"line {row.line}",
        case=parse_case(dataset, slide),
        centre=(row.number("x"), row.number("y")),
        attributes={
            "kind": _KINDS[kind],
            "dataset": dataset,
            "expert 1": row.text("expert1_label"),
            "expert 2": row.text("expert2_label"),
        },
    )
