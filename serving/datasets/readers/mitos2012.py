"""MITOS 2012 (ICPR): beside each picture a CSV with one mitosis a line, flat x1,y1,x2,y2,... of every pixel of it."""

from collections.abc import Iterator
from pathlib import Path

from serving.core.annotations import make_bounding_box
from serving.datasets.csv_rows import finite, lists
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.boxes import annotation
from serving.datasets.readers.mitos import contest_pictures, label_files
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Annotation, Box, Dataset, Picture

FORMAT = "mitos2012"
MPP = {"A": 0.2456, "H": 0.2274}
"""um/px as the contest states them; Hamamatsu's pixels are 0.2273 x 0.2275."""
_JPEG = frozenset({".jpg", ".jpeg"})


@reader(FORMAT, summary="folder of MITOS 2012 with <picture>.csv files", takes="folder", licence=CONTEST)
def read_mitos2012(source: Source, report: ImportReport) -> Dataset:
    """Pictures of the folder of images, each with the CSV of its name below `path`.

    A picture whose CSV is absent is unlabelled; one whose CSV is empty was looked at and shows nothing.

    Raises
    ------
    FormatError
        If a file is not laid out as published.
    """
    return source.dataset(FORMAT, _pictures(source, report, label_files(source, "*.csv", "<picture>.csv")))


def _pictures(source: Source, report: ImportReport, files: dict[str, Path]) -> Iterator[Picture]:
    used = set()
    shown = _without_overlays(source.pictures.all(), report)
    for path, name, sized in contest_pictures(source, report, shown, MPP):
        file = files.get(path.stem)
        used.add(path.stem)
        yield Picture(
            **sized.fields(),
            slide=name.slide,
            patient=name.patient,
            labelled=file is not None,
            annotations=() if file is None else tuple(_annotations(report, file, sized.size)),
            attributes=name.attributes,
        )
    report.dropped["label files without a picture"] += len(files.keys() - used)


def _without_overlays(paths: list[Path], report: ImportReport) -> Iterator[Path]:
    """The pictures without the contest's JPEG previews, in which every mitosis is painted over."""
    lossless = {path.with_suffix("") for path in paths if path.suffix.lower() not in _JPEG}
    for path in paths:
        if path.suffix.lower() in _JPEG:
            if path.with_suffix("") in lossless:
                report.dropped["JPEG previews, in which the contest painted over the mitoses"] += 1
                continue
            report.noted["JPEG pictures without a lossless one: make sure that no mitosis is painted over in them"] += 1
        yield path


def _annotations(report: ImportReport, file: Path, size: tuple[int, int]) -> Iterator[Annotation]:
    for line, cells in lists(file):
        if (found := annotation(report, _box(file, line, cells), size, "mitotic figure", 1.0)) is not None:
            yield found


def _box(file: Path, line: int, cells: list[str]) -> Box:
    """The box around the listed pixels, half-open."""
    if len(cells) % 2:
        raise FormatError(file, f"line {line}", f"has {len(cells)} numbers, which are no x,y pairs")
    values = [finite(file, f"line {line}, field {i}", cell) for i, cell in enumerate(cells, 1)]
    x1, y1, x2, y2 = make_bounding_box(list(zip(values[0::2], values[1::2], strict=True)))
    return (x1, y1, x2 + 1, y2 + 1)
