"""MITOS-ATYPIA-14: `A03/mitosis/A03_00Aa_mitosis.csv` and `..._not_mitosis.csv`, headerless x, y, confidence."""

from collections.abc import Iterator
from pathlib import Path

from serving.datasets.csv_rows import Row, headerless
from serving.datasets.import_report import ImportReport
from serving.datasets.readers.boxes import ambiguous, annotation, around, nominal_half
from serving.datasets.readers.classes import Label
from serving.datasets.readers.mitos import contest_pictures, label_files
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Dataset, Picture

FORMAT = "mitos-atypia14"
MPP = {"A": 0.2455, "H": 0.2274}
"""um/px at x40 as the contest states them; Hamamatsu's pixels are 0.2273 x 0.2275."""
_COARSE = frozenset({"x10", "x20"})
MITOSIS_CONFIDENCE = 0.5
"""From here on the contest counts an object as a mitosis."""
_ENDINGS: dict[str, Label] = {"_not_mitosis": "look-alike", "_mitosis": "mitotic figure"}


@reader(FORMAT, summary="folder of MITOS-ATYPIA-14 with A03/mitosis/*.csv", takes="folder", licence=CONTEST)
def read_mitos_atypia14(source: Source, report: ImportReport) -> Dataset:
    """Frames at x40 of the folder of images, with the two CSV files of each below `path`; A and H of a slide, one patient.

    A frame with neither file is unlabelled.

    Raises
    ------
    FormatError
        If a file is not laid out as published.
    """
    files = label_files(source, "*_mitosis.csv", "<frame>_mitosis.csv")
    return source.dataset(FORMAT, _pictures(source, report, files))


def _pictures(source: Source, report: ImportReport, files: dict[str, Path]) -> Iterator[Picture]:
    used: set[str] = set()
    coarse, frames = (
        [path for path in source.pictures.all() if (path.parent.name in _COARSE) == chosen] for chosen in (True, False)
    )
    report.dropped["frames at x10 and x20"] += len(coarse)
    for path, name, sized in contest_pictures(source, report, frames, MPP):
        own = {files[key]: label for end, label in _ENDINGS.items() if (key := path.stem + end) in files}
        used.update(file.stem for file in own)
        annotations = tuple(a for file, label in own.items() for a in _annotations(report, file, label, sized))
        yield Picture(
            **sized.fields(),
            slide=name.slide,
            patient=name.patient,
            labelled=bool(own),
            annotations=annotations,
            ambiguous_areas=ambiguous(annotations),
            attributes=name.attributes,
        )
    report.dropped["label files without a frame"] += len(files.keys() - used)


def _annotations(report: ImportReport, file: Path, label: Label, sized: Sized) -> Iterator[Annotation]:
    for row in headerless(file, ("x", "y", "confidence"), optional=1):
        box = around(row.number("x"), row.number("y"), nominal_half(sized.mpp))
        confidence = _confidence(row, label)
        verdict: Label = "mitotic figure" if confidence >= MITOSIS_CONFIDENCE else "look-alike"
        if verdict != label:
            report.noted[f"objects in {label} files whose confidence makes them {verdict}s"] += 1
        if (found := annotation(report, box, sized.size, verdict, confidence, nominal=True)) is not None:
            yield found


def _confidence(row: Row, label: Label) -> float:
    if not row.optional("confidence"):
        return 1.0 if label == "mitotic figure" else 0.0
    value = row.number("confidence")
    if not 0 <= value <= 1:
        raise row.error("confidence", f"is {value:g}, must be 0 to 1")
    return value
