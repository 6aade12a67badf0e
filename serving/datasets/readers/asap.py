"""XML of ASAP: outlines and dots in named groups, level-0 px."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from serving.datasets.csv_rows import finite
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.outlines import Outline, Point, make_picture
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "asap"
_PLACES = frozenset({"Dot", "PointSet"})
_OUTLINES = frozenset({"Rectangle", "Polygon", "Spline"})


@reader(FORMAT, summary="ASAP .xml file, or a folder of them, one a slide", takes="either")
def read_asap(source: Source, report: ImportReport) -> Dataset:
    """Slides that an XML file, or each one in a folder, belongs to: `<slide>.xml`. The group of an annotation is its class.

    Raises
    ------
    FormatError
        If a file is not XML as ASAP writes it.
    """
    files = sorted(source.path.rglob("*.xml")) if source.path.is_dir() else [source.path]
    if not files:
        raise FormatError(source.path, "folder", "holds no .xml file")
    found = (make_picture(source, report, file, (file.stem, Path(file.stem).stem), _outlines(file)) for file in files)
    return source.dataset(FORMAT, [picture for picture in found if picture is not None])


def _outlines(file: Path) -> Iterator[Outline]:
    root = _root(file)
    if root.tag != "ASAP_Annotations":
        raise FormatError(file, "first element", f"is {root.tag}, must be ASAP_Annotations")
    for index, element in enumerate(root.findall("./Annotations/Annotation")):
        where = f"annotation {index} ({element.get('Name', 'unnamed')})"
        kind = element.get("Type", "")
        if kind not in _PLACES | _OUTLINES:
            raise FormatError(file, f"{where}, field Type", f"is {kind!r}")
        points = list(_points(file, where, element))
        if not points:
            raise FormatError(file, f"{where}, field Coordinates", "holds no points")
        group = element.get("PartOfGroup", "None")
        parts = [[point] for point in points] if kind in _PLACES else [points]
        yield Outline(None if group == "None" else group, parts, places=kind in _PLACES)


def _root(file: Path) -> ElementTree.Element:
    content = file.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        # ASAP writes neither; entities are how XML files exhaust memory.
        raise FormatError(file, "file", "declares a document type, which ASAP never writes")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 - no entities, see above
    except ElementTree.ParseError as error:
        line, column = error.position
        raise FormatError(file, f"line {line}, column {column}", f"is not XML ({error})") from None


def _points(file: Path, where: str, element: ElementTree.Element) -> Iterator[Point]:
    for index, coordinate in enumerate(element.findall("./Coordinates/Coordinate")):
        # Some versions write numbers with the comma of the user's country.
        x, y = (
            finite(file, f"{where}, coordinate {index}, field {axis}", coordinate.get(axis, "").replace(",", "."))
            for axis in ("X", "Y")
        )
        yield x, y
