"""AtNorm-Br and AtNorm-MD: crops in the folders `normal` and `atypical`, without cases."""

from serving.datasets.csv_rows import table_rows
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.crops import Crop, crops_dataset
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "atnorm"
KINDS = ("atypical", "normal")
VOTES = "expert_votes.csv"


@reader(
    FORMAT,
    summary="folder of AtNorm crops: normal/, atypical/, expert_votes.csv",
    takes="folder",
    licence="MIT; pictures of TCGA and MIDOG++",
)
def read_atnorm(source: Source, report: ImportReport) -> Dataset:
    """Crops of both folders, every one a mitotic figure, with the experts' words where there is a table of votes.

    The source states no cases, so that all crops are one patient: no split may part them.

    Raises
    ------
    FormatError
        If there are no such folders, or the table is not laid out as published.
    """
    if not any((source.path / kind).is_dir() for kind in KINDS):
        raise FormatError(source.path, "folder", f"holds neither {' nor '.join(KINDS)}/")
    votes = _votes(source)
    crops = [
        Crop(
            names=(source.pictures.relative(path),),
            where=str(path),
            case=source.name,
            centre=None,
            attributes={"kind": path.parent.name, **votes.get(path.stem, {})},
        )
        for path in source.pictures.all()
        if path.parent.name in KINDS
    ]
    report.noted["crops without a case: all are one patient, which no split parts"] += len(crops)
    return crops_dataset(source, report, FORMAT, crops)


def _votes(source: Source) -> dict[str, dict[str, str]]:
    """Attributes by crop."""
    path = source.path / VOTES
    if not path.is_file():
        return {}
    return {
        row.text("Filename").rsplit(".", 1)[0]: {
            column.replace("_", " ").lower(): word.lower()
            for column, word in row.cells.items()
            if column.startswith("Expert_") and word
        }
        for row in table_rows(path, ("Filename", "Majority"))
    }
