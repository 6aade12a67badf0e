"""MIDOG 2025, track 2: 128 px crops, `image_id, filename, coordinateX, coordinateY, expert1..3, majority (AMF|NMF), ...`."""

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.import_report import ImportReport
from serving.datasets.patient import midog_case
from serving.datasets.readers.crops import Crop, crops_dataset
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "midog25-atypical"
_COLUMNS = ("image_id", "filename", "majority")
_KINDS = {"AMF": "atypical", "NMF": "normal"}
_ATTRIBUTES = {"Tumor": "tumour", "Scanner": "scanner", "Origin": "origin", "Species": "species"}


@reader(FORMAT, summary="CSV of MIDOG 2025 atypical figures", takes="file")
def read_midog25_atypical(source: Source, report: ImportReport) -> Dataset:
    """Crops that the CSV lists: every one a mitotic figure; `filename` is its case, `image_id` its file.

    The third expert's field is empty where the first two agree.

    Raises
    ------
    FormatError
        If the CSV is not laid out as published.
    """
    crops = [_crop(row) for row in table_rows(source.path, _COLUMNS)]
    return crops_dataset(source, report, FORMAT, crops)


def _crop(row: Row) -> Crop:
    majority, image = row.text("majority"), row.text("image_id")
    if majority not in _KINDS:
        raise row.error("majority", f"is {majority!r}, must be AMF or NMF")
    located = "coordinateX" in row.cells and "coordinateY" in row.cells
    experts = {f"expert {i}": vote for i in (1, 2, 3) if (vote := row.optional(f"expert{i}"))}
    stated = {ours: text for theirs, ours in _ATTRIBUTES.items() if (text := row.optional(theirs))}
    return Crop(
        names=(image, f"{image}.png"),
        where=f"line {row.line}",
        case=midog_case(row.text("filename")),
        centre=(row.number("coordinateX"), row.number("coordinateY")) if located else None,
        attributes={"kind": _KINDS[majority], **experts, **stated},
    )
