"""BreCaHAD: microscope-camera fields `Case_12-05.jpg`, and `labels.csv` with boxes of mitoses, apoptoses and nuclei."""

import re
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.boxes import annotation
from serving.datasets.readers.classes import Label
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Dataset, Picture

FORMAT = "brecahad"
_NAME = re.compile(r"(?P<slide>Case_(?P<number>\d+))-\d+")
_LABELS: dict[str, Label] = {"Mitosis": "mitotic figure", "Apoptosis": "look-alike"}
_NUCLEI = ("Tumor_nuclei", "Non_tumor_nuclei")
_OTHERS = frozenset({*_NUCLEI, "Tubule", "Non_tubule"})


@reader(
    FORMAT,
    summary="folder of BreCaHAD with labels.csv (field,class,cx,cy,w,h) and fields/",
    takes="folder",
    licence="CC BY 4.0",
)
def read_brecahad(source: Source, report: ImportReport) -> Dataset:
    """Fields with mitoses; apoptoses are look-alikes. Nuclei and tubules are read for their size alone.

    The data set states no resolution, and its cases differ: nothing is guessed. The report says how large the nuclei of each
    case are in px, from which whoever imports may tell um/px, and give it by case.

    Raises
    ------
    FormatError
        If the table is not laid out so, or a field is not named Case_<number>-<number>.
    """
    if not (source.path / "labels.csv").is_file():
        raise FormatError(source.path, "folder", "holds no labels.csv")
    rows = defaultdict(list)
    for row in table_rows(source.path / "labels.csv", ("field", "class", "cx", "cy", "w", "h")):
        if row.text("class") not in _LABELS and row.text("class") not in _OTHERS:
            raise row.error("class", f"is {row.text('class')!r}, which is none of BreCaHAD's")
        rows[row.text("field")].append(row)
    pictures = list(_pictures(source, report, rows))
    _note_sizes(source, report, rows)
    return source.dataset(FORMAT, pictures)


def _pictures(source: Source, report: ImportReport, rows: dict[str, list[Row]]) -> Iterator[Picture]:
    for field, own in sorted(rows.items()):
        found = _NAME.fullmatch(field)
        if found is None:
            raise FormatError(source.path / "labels.csv", f"field {field}", "is not named Case_<number>-<number>")
        sized = source.picture(report, field, where=f"field {field}")
        if sized is None:
            continue
        yield Picture(
            **sized.fields(),
            slide=found["slide"],
            patient=f"brecahad/{int(found['number']):02d}",
            annotations=tuple(_annotations(report, own, sized)),
            attributes={"scanner": "microscope camera"},
        )


def _annotations(report: ImportReport, rows: list[Row], sized: Sized) -> Iterator[Annotation]:
    for row in rows:
        label = _LABELS.get(row.text("class"))
        if label is None:
            report.dropped[f"objects of class {row.text('class')!r}"] += 1
            continue
        x, y, width, height = (row.number(column) for column in ("cx", "cy", "w", "h"))
        if width <= 0 or height <= 0:
            raise row.error("w", f"and h are {width:g} and {height:g}, must be above 0")
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        made = annotation(report, box, sized.size, label, 1.0 if label == "mitotic figure" else 0.0)
        if made is not None:
            yield made


def _note_sizes(source: Source, report: ImportReport, rows: dict[str, list[Row]]) -> None:
    sides = defaultdict(list)
    for field, own in rows.items():
        for row in own:
            if row.text("class") in _NUCLEI:
                sides[field.split("-")[0], row.text("class")].append((row.number("w") * row.number("h")) ** 0.5)
    for (slide, kind), of in sorted(sides.items()):
        if slide not in source.mpp_of and source.mpp is None:
            name = kind.replace("_", " ").lower()
            report.noted[f"{name} of {slide}, {median(of):.0f} px across (median): give --mpp-of {slide}=UM"] += len(of)
