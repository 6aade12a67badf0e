"""GeoJSON as QuPath and viewers that follow it write it: annotations, and detections that a person judged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from serving.datasets.documents import read_document
from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.outlines import Outline, Point, make_picture
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset

FORMAT = "qupath"
_SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")
_PLACES = frozenset({"Point", "MultiPoint"})
_SEVERAL = frozenset({"MultiPoint", "MultiLineString", "MultiPolygon"})


class _Class(BaseModel):
    name: str | None = None
    names: list[str] = []
    """Later versions give the parts of a derived class."""


class _Properties(BaseModel):
    object_type: str = Field("annotation", alias="objectType")
    classification: str | _Class | None = None


class _Geometry(BaseModel):
    type: Literal["Point", "MultiPoint", "LineString", "MultiLineString", "LinearRing", "Polygon", "MultiPolygon"]
    coordinates: list[Any]


class _Feature(BaseModel):
    type: Literal["Feature"]
    geometry: _Geometry
    properties: _Properties = _Properties(objectType="annotation")


class _Collection(BaseModel):
    type: Literal["FeatureCollection"]
    features: list[_Feature]


@reader(FORMAT, summary="QuPath .geojson file, or a folder of them, one a slide", takes="either")
def read_qupath(source: Source, report: ImportReport) -> Dataset:
    """Slides that a GeoJSON file, or each one in a folder, belongs to: `<slide>.geojson` or `<slide>/detections.geojson`.

    A detection whose class still means a mitotic figure counts as accepted; one that a person gave a class like "not
    mitosis" or "rejected" is a look-alike. Model and person cannot be told apart, so the report counts detections.

    Raises
    ------
    FormatError
        If a file is not GeoJSON as QuPath writes it.
    """
    files = (
        sorted(p for p in source.path.rglob("*") if p.name.endswith(_SUFFIXES))
        if source.path.is_dir()
        else [source.path]
    )
    if not files:
        raise FormatError(source.path, "folder", "holds no .geojson file")
    found = (
        make_picture(source, report, file, _names(file), _outlines(source, report, file), from_bounds=True)
        for file in files
    )
    return source.dataset(FORMAT, [picture for picture in found if picture is not None])


def _names(file: Path) -> tuple[str, ...]:
    stem = file.name.split(".geojson")[0].split(".json")[0]
    return (stem, Path(stem).stem, file.parent.name)


def _outlines(source: Source, report: ImportReport, file: Path) -> Iterator[Outline]:
    for index, feature in enumerate(read_document(file, _Collection).features):
        name = _class_name(feature.properties.classification)
        if feature.properties.object_type != "annotation" and name and source.classes.find_label(name):
            report.noted[f"{feature.properties.object_type}s: make sure that a person judged each"] += 1
        where = f"features.{index}.geometry.coordinates"
        coordinates, several = feature.geometry.coordinates, feature.geometry.type in _SEVERAL
        if several and not all(isinstance(part, list) for part in coordinates):
            raise FormatError(file, where, f"is no list of parts of a {feature.geometry.type}")
        parts = [list(_points(file, where, part)) for part in (coordinates if several else [coordinates])]
        if not parts or not all(parts):
            raise FormatError(file, where, "holds no points")
        yield Outline(name, parts, places=feature.geometry.type in _PLACES)


def _class_name(classification: str | _Class | None) -> str | None:
    if isinstance(classification, _Class):
        return ": ".join(classification.names) or classification.name
    return classification


def _points(file: Path, where: str, coordinates: list[Any]) -> Iterator[Point]:
    """Every [x, y] below nested lists; the rings of holes lie inside the first and change no box."""
    if coordinates and all(type(v) in (int, float) for v in coordinates):
        if len(coordinates) < 2:
            raise FormatError(file, where, f"{coordinates} is no x, y")
        yield float(coordinates[0]), float(coordinates[1])
        return
    for part in coordinates:
        if not isinstance(part, list):
            raise FormatError(file, where, f"{str(part)[:40]!r} is no list of points")
        yield from _points(file, where, part)
