"""Fields of MITOS 2012 with their boxes in one JSON file: `fields.json`, and `painted_fields.json` beside it.

On painted fields every mitosis is covered by solid colour: they show what is no figure, away from the paint.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat

from serving.datasets.documents import read_document
from serving.datasets.import_report import ImportReport
from serving.datasets.readers.boxes import annotation
from serving.datasets.readers.mitos import mitos_name
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset, Picture

FORMAT = "icpr2012-fields"
PAINTED = "painted_fields.json"

_Boxes = list[tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]]


class _Field(BaseModel):
    boxes_xyxy: _Boxes


class _PaintedField(BaseModel):
    painted_xyxy: _Boxes
    mitoses_xyxy: _Boxes


class _File(BaseModel):
    mpp: float = Field(gt=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class _Fields(_File):
    fields: dict[str, _Field]


class _PaintedFields(_File):
    fields: dict[str, _PaintedField]


@reader(
    FORMAT,
    summary="fields.json of MITOS 2012 fields, with painted_fields.json beside it",
    takes="either",
    licence=CONTEST,
)
def read_icpr2012_fields(source: Source, report: ImportReport) -> Dataset:
    """Clean fields with all figures boxed, and painted ones whose paint is unlabelled area.

    Raises
    ------
    FormatError
        If a file does not have these fields.
    """
    path = source.path / "fields.json" if source.path.is_dir() else source.path
    painted = path.with_name(PAINTED)
    pictures = list(_clean_pictures(source, report, path, read_document(path, _Fields)))
    if painted.is_file():
        pictures += _painted_pictures(source, report, painted, read_document(painted, _PaintedFields))
    return source.dataset(FORMAT, pictures)


def _clean_pictures(source: Source, report: ImportReport, path: Path, file: _Fields) -> Iterator[Picture]:
    for key, entry in sorted(file.fields.items()):
        found = (annotation(report, b, (file.width, file.height), "mitotic figure", 1.0) for b in entry.boxes_xyxy)
        boxes = tuple(a for a in found if a is not None)
        picture = _picture(source, report, path, file, key)
        if picture is not None:
            yield picture.model_copy(update={"annotations": boxes})


def _painted_pictures(source: Source, report: ImportReport, path: Path, file: _PaintedFields) -> Iterator[Picture]:
    for key, entry in sorted(file.fields.items()):
        areas = tuple(entry.painted_xyxy + entry.mitoses_xyxy)
        picture = _picture(source, report, path, file, key)
        if picture is not None:
            report.taken["areas that are painted over, as unlabelled"] += len(areas)
            yield picture.model_copy(update={"unlabelled_areas": areas})


def _picture(source: Source, report: ImportReport, path: Path, file: _File, key: str) -> Picture | None:
    name = mitos_name(Path(key))
    sized = source.picture(report, key, stated=(file.width, file.height), where=f"fields.{key}", nominal_mpp=file.mpp)
    if sized is None:
        return None
    return Picture(**sized.fields(), slide=name.slide, patient=name.patient, attributes=name.attributes)
