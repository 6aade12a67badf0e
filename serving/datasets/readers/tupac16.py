"""The TUPAC16 auxiliary set and its alternative labels: `mitoses_ground_truth/CC/NN.csv`, headerless *row, column*."""

from collections.abc import Iterator
from pathlib import Path

from serving.datasets.csv_rows import headerless
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.patient import tupac_case
from serving.datasets.readers.boxes import annotation, around
from serving.datasets.readers.classes import Label
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Annotation, Dataset, Picture

FORMAT = "tupac16"
MPP = 0.25
"""The organisers' statement for all cases."""
LABELLED_CASES = range(1, 74)
"""Training cases: there an absent file means that nothing was found. Later ones are the test set, which has no labels."""
_FOLDERS: dict[str, Label] = {
    "mitoses_ground_truth": "mitotic figure",
    "nonmitoses_ground_truth": "look-alike",
}


@reader(
    FORMAT,
    summary="folder with mitoses_ground_truth/, and nonmitoses_ground_truth/ of the alternative labels",
    takes="folder",
    licence=CONTEST,
)
def read_tupac16(source: Source, report: ImportReport) -> Dataset:
    """Pictures `CC/NN.tif` of the folder of images, with the labels of the ground-truth folders in `path`.

    Raises
    ------
    FormatError
        If there is no ground truth, or a file of it is not laid out as published.
    """
    if not (source.path / "mitoses_ground_truth").is_dir():
        raise FormatError(source.path, "folder", "holds no mitoses_ground_truth/")
    files = {
        file: label for folder, label in _FOLDERS.items() for file in sorted((source.path / folder).glob("*/*.csv"))
    }
    return source.dataset(FORMAT, _pictures(source, report, files))


def _pictures(source: Source, report: ImportReport, files: dict[Path, Label]) -> Iterator[Picture]:
    cases = {file.parent.name for file in files}
    used = set()
    for path in source.pictures.all():
        case, number = path.parent.name, path.stem
        sized = source.picture(report, source.pictures.relative(path), where=str(path), nominal_mpp=MPP)
        if sized is None:
            continue
        own = [file for file in files if (file.parent.name, file.stem) == (case, number)]
        used.update(own)
        yield Picture(
            **sized.fields(),
            slide=tupac_case(case),
            patient=tupac_case(case),
            labelled=case in cases or (case.isdecimal() and int(case) in LABELLED_CASES),
            annotations=tuple(a for file in own for a in _annotations(report, file, files[file], sized.size)),
        )
    report.dropped["label files without a picture"] += len(files) - len(used)


def _annotations(report: ImportReport, file: Path, label: Label, size: tuple[int, int]) -> Iterator[Annotation]:
    agreement = 1.0 if label == "mitotic figure" else 0.0
    for row in headerless(file, ("row", "column")):
        box = around(row.number("column"), row.number("row"))
        if (found := annotation(report, box, size, label, agreement, nominal=True)) is not None:
            yield found
