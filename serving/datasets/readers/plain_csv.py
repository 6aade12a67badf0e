"""A CSV of one's own: `picture,label` and either `x1,y1,x2,y2` or `x,y`; further columns are optional."""

from collections import defaultdict
from collections.abc import Iterator

from serving.datasets.csv_rows import Row, table_rows
from serving.datasets.import_report import ImportReport
from serving.datasets.patient import parse_patient
from serving.datasets.readers.boxes import ambiguous, annotation, around, nominal_half, share
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Dataset, Picture

FORMAT = "csv"
_BOX = ("x1", "y1", "x2", "y2")
_CENTRE = ("x", "y")
_PICTURE_FIELDS = ("slide", "patient")
_KNOWN = {"picture", "label", "agreement", "width", "height", *_PICTURE_FIELDS, *_BOX, *_CENTRE}


@reader(FORMAT, summary="CSV with picture,label and x1,y1,x2,y2 or x,y; see docs/datasets.md", takes="file")
def read_plain_csv(source: Source, report: ImportReport) -> Dataset:
    """Pictures that the table names. A row without coordinates says that its picture was looked at and shows nothing.

    Optional columns: `agreement` (0 to 1), `slide`, `patient`, and `width`, `height` for pictures that are elsewhere.

    Raises
    ------
    FormatError
        If a column is missing, a cell does not hold what its column says, or rows of a picture contradict each other.
    """
    rows = defaultdict(list)
    for row in table_rows(source.path, ("picture", "label")):
        rows[row.text("picture")].append(row)
    for column in {c for group in rows.values() for c in group[0].cells} - _KNOWN:
        report.noted[f"column {column!r} is not known and was not read"] += 1
    found = (_picture(source, report, name, group) for name, group in rows.items())
    return source.dataset(FORMAT, [picture for picture in found if picture is not None])


def _picture(source: Source, report: ImportReport, name: str, rows: list[Row]) -> Picture | None:
    first = rows[0]
    stated = None
    if first.optional("width") and first.optional("height"):
        stated = (int(first.number("width")), int(first.number("height")))
    sized = source.picture(report, name, stated=stated, where=f"line {first.line}")
    if sized is None:
        return None
    slide = _same(rows, "slide") or parse_patient(name)
    annotations = tuple(a for row in rows for a in _annotations(source, report, row, sized))
    return Picture(
        **sized.fields(),
        slide=slide,
        patient=_same(rows, "patient") or parse_patient(slide),
        annotations=annotations,
        ambiguous_areas=ambiguous(annotations),
    )


def _same(rows: list[Row], column: str) -> str:
    """The one value of a column that belongs to the picture and not to the object."""
    values = {row.optional(column): row for row in rows}
    if len(values) > 1:
        last = rows[-1] if rows[-1].optional(column) != rows[0].optional(column) else list(values.values())[-1]
        raise last.error(column, f"contradicts line {rows[0].line}: a picture has one {column}")
    return next(iter(values))


def _annotations(source: Source, report: ImportReport, row: Row, sized: Sized) -> Iterator[Annotation]:
    has_box, has_centre = (any(row.optional(c) for c in columns) for columns in (_BOX, _CENTRE))
    if not has_box and not has_centre:
        report.taken["rows without coordinates, as pictures that were looked at"] += 1
        return
    label = source.classes.find_label(row.text("label"))
    if label is None:
        raise row.error("label", f"{row.text('label')!r} is no known class; name it with --mitotic or --look-alike")
    if has_box:
        x1, y1, x2, y2 = (row.number(c) for c in _BOX)
        if x2 <= x1 or y2 <= y1:
            raise row.error("x2", f"({x1:g}, {y1:g}, {x2:g}, {y2:g}) has no area; columns are corners, not sizes")
        box = (x1, y1, x2, y2)
    else:
        box = around(row.number("x"), row.number("y"), nominal_half(sized.mpp))
    agreement = _agreement(row) if row.optional("agreement") else share((), label)
    found = annotation(report, box, sized.size, label, agreement, nominal=not has_box)
    if found is not None:
        yield found


def _agreement(row: Row) -> float:
    value = row.number("agreement")
    if not 0 <= value <= 1:
        raise row.error("agreement", f"is {value:g}, must be 0 to 1")
    return value
