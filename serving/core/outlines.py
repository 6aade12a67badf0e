"""Outlines of what is counted in and of what is left out: read from GeoJSON, checked, and placed on a slide.

GeoJSON as QuPath writes it is in *QuPath px*: px of the file from where the slide's bounds begin. A member `unit` of the
collection may say *level-0 px* or *um*, both from the slide's top left corner, in its place.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import shapely
from numpy.typing import NDArray

from serving.core.counts import NamedOutline
from serving.core.errors import RequestError, RoiError
from serving.core.report_parts import SlideInfo

Unit = Literal["QuPath px", "level-0 px", "um"]
Point = tuple[float, float]
Ring = tuple[Point, ...]
Polygon = tuple[Ring, ...]
"""A closed ring, then those of its holes."""

MAX_OUTLINES = 2_000
MAX_VERTICES = 50_000
"""Of all outlines together: about 1 MB of GeoJSON. Outlines drawn by hand have some hundreds."""
MAX_NAME = 200
UNNAMED = "unnamed"
_PASSED_OVER = ("detection", "cell", "tile")
"""What QuPath calls objects that are no annotations: exports hold them beside the regions."""
_HELP = "give GeoJSON as QuPath exports it: a FeatureCollection, Feature or geometry with polygons"
_TOO_MANY = f"the regions have more than {MAX_VERTICES} corners: simplify them, in QuPath by *Simplify shape*"
_WIDTHS = (1e-3, 1e6)
"""Of brushes, in the unit."""
_MAX_STROKES = 100
_JUST = (1e-4, 1e-7)
"""Level-0 px to the right and down: the place that decides for a point on an edge."""


@dataclass(frozen=True, slots=True)
class NamedPolygons:
    """Polygons under one name, such as the classification that QuPath gave them."""

    name: str
    polygons: tuple[Polygon, ...]

    def as_feature(self) -> dict[str, Any]:
        """A GeoJSON feature, as QuPath reads an annotation of this classification."""
        coordinates = [[[list(point) for point in ring] for ring in polygon] for polygon in self.polygons]
        return {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": coordinates},
            "properties": {"objectType": "annotation", "classification": {"name": self.name, "color": [0, 114, 178]}},
        }


@dataclass(frozen=True, slots=True)
class Outlines:
    """Outlines in one unit; what lies in any of them lies in them."""

    outlines: tuple[NamedPolygons, ...]
    unit: Unit = "QuPath px"
    _shape: Any = field(init=False, repr=False, compare=False)
    """Their union, for shapely."""

    def __post_init__(self) -> None:
        shapes = [shapely.Polygon(p[0], p[1:]) for one in self.outlines for p in one.polygons]
        shape = shapely.union_all(shapes)
        shapely.prepare(shape)
        object.__setattr__(self, "_shape", shape)

    @property
    def area(self) -> float:
        """Of the union, in the unit squared."""
        return float(self._shape.area)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Both ends (x, y) of each side of the union, of holes too: float64, shape (N, 2, 2). A line crosses in and out by turns."""
        rings = shapely.get_rings(shapely.get_parts(self._shape))
        corners = [shapely.get_coordinates(ring) for ring in rings]
        sides = [np.stack([ring[:-1], ring[1:]], 1) for ring in corners]
        return np.concatenate(sides) if sides else np.empty((0, 2, 2))

    def hold(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points lie inside, bool, shape (N,). Of a point on an edge, what is right of it decides; below it on a level edge.

        So of areas that share an edge exactly one holds a point on it: left and upper edges are inside, as those of pixels.

        points : float64, shape (N, 2), (x, y), in the unit
        """
        return np.asarray(shapely.contains_xy(self._shape, points[:, 0] + _JUST[0], points[:, 1] + _JUST[1]), np.bool_)

    def as_geojson(self) -> dict[str, Any]:
        """What `parse_outlines` reads as these outlines."""
        features = [outline.as_feature() for outline in self.outlines]
        return {"type": "FeatureCollection", "unit": self.unit, "features": features}

    def as_report(self) -> list[NamedOutline]:
        """As reports state them, which are in level-0 px."""
        return [
            NamedOutline(name=one.name, polygons=[list(map(list, p)) for p in one.polygons]) for one in self.outlines
        ]

    @classmethod
    def from_report(cls, stated: Sequence[NamedOutline] | None) -> "Outlines | None":
        """What a report states; None where it states nothing."""
        if stated is None:
            return None
        polygons = [tuple(tuple(map(tuple, polygon)) for polygon in one.polygons) for one in stated]
        outlines = (NamedPolygons(one.name, found) for one, found in zip(stated, polygons, strict=True))
        return cls(tuple(outlines), "level-0 px")

    def place(self, slide: SlideInfo) -> "Outlines":
        """The same outlines in level-0 px of a slide.

        Raises
        ------
        RoiError
            If one of them lies outside the slide.
        """
        placed = self._convert(slide)
        extent = shapely.box(0, 0, slide.width, slide.height)
        for one in placed.outlines:
            shapes = [shapely.Polygon(polygon[0]) for polygon in one.polygons]
            if not any(shapely.area(shapely.intersection(shape, extent)) > 0 for shape in shapes):
                raise RoiError(
                    f"the region {one.name!r} lies outside the slide of {slide.width} x {slide.height} px: draw it on this "
                    f"slide; its coordinates were taken for {self.unit}"
                )
        return placed

    def _convert(self, slide: SlideInfo) -> "Outlines":
        (left, top), (across, down) = (0.0, 0.0), (1.0, 1.0)
        if self.unit == "um":
            across = down = slide.mpp
        elif self.unit == "QuPath px":
            (left, top), (across, down) = slide.origin, slide.stored_scale or (1.0, 1.0)
        if (left, top, across, down) == (0, 0, 1, 1):
            return self if self.unit == "level-0 px" else Outlines(self.outlines, "level-0 px")
        return Outlines(
            tuple(
                NamedPolygons(
                    one.name,
                    tuple(
                        tuple(tuple((x / across + left, y / down + top) for x, y in ring) for ring in polygon)
                        for polygon in one.polygons
                    ),
                )
                for one in self.outlines
            ),
            "level-0 px",
        )


def hash_outlines(*groups: Sequence[NamedOutline] | None) -> str:
    """SHA-256 of outlines as reports state them, in hex."""
    stated = [None if group is None else [one.model_dump() for one in group] for group in groups]
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def parse_outlines(stated: "str | Mapping[str, Any] | Outlines") -> Outlines:
    """The outlines that GeoJSON states, as text or parsed.

    Detections, cells and tiles of QuPath are passed over, as are points and lines, but for strokes of a brush: lines with a property
    `brushWidth`, in the unit. They become areas, and grow into the regions of the same name that they touch.

    Raises
    ------
    RequestError
        If there is no polygon, or one that crosses itself or is no polygon, or there are too many corners.
    """
    if isinstance(stated, Outlines):
        return stated
    try:
        document = json.loads(stated) if isinstance(stated, str) else stated
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the regions are no JSON: {_HELP}") from error
    if isinstance(document, list):  # QuPath before 0.3 writes its objects without a collection
        document = {"type": "FeatureCollection", "features": document}
    if not isinstance(document, Mapping):
        raise RequestError(f"the regions are no GeoJSON: {_HELP}")
    unit = document.get("unit", "QuPath px")
    if unit not in get_args(Unit):
        raise RequestError(f"`unit` of the regions is {str(unit)[:40]!r}: give one of {', '.join(get_args(Unit))}")
    outlines: list[NamedPolygons] = []
    left = MAX_VERTICES
    for name, polygons in _list_polygons(document):
        if len(outlines) == MAX_OUTLINES:
            raise RequestError(f"there are more than {MAX_OUTLINES} regions: merge them, or leave small ones out")
        found = tuple(_read_polygon(polygon, name) for polygon in polygons)
        left -= sum(len(ring) for polygon in found for ring in polygon)
        if left < 0:
            raise RequestError(_TOO_MANY)
        for polygon in found:
            _check_polygon(polygon, name)
        outlines.append(NamedPolygons(name, found))
    for name, stroke in _list_strokes(document):
        outlines = _add_stroke(outlines, name, stroke)
    if sum(len(ring) for one in outlines for polygon in one.polygons for ring in polygon) > MAX_VERTICES:
        raise RequestError(_TOO_MANY)
    if not outlines:
        raise RequestError(f"there is no region: {_HELP}")
    return Outlines(tuple(outlines), unit)


def _list_polygons(document: Mapping[str, Any]) -> Iterator[tuple[str, Iterable[Any]]]:
    """Name and coordinates of polygons of each feature that has some."""
    kind = document.get("type")
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise RequestError(f"`features` of the regions is no list: {_HELP}")
    for feature in features:
        if not isinstance(feature, Mapping):
            raise RequestError(f"a feature of the regions is no object: {_HELP}")
        name = UNNAMED
        geometry: Any = feature
        if feature.get("type") == "Feature":
            properties = feature.get("properties")
            properties = properties if isinstance(properties, Mapping) else {}
            if properties.get("objectType") in _PASSED_OVER:
                continue
            name, geometry = _find_name(properties), feature.get("geometry")
        polygons = list(_walk_geometry(geometry))
        if polygons:
            yield name, polygons


def _list_strokes(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and shape of each stroke of a brush."""
    features = document.get("features") if document.get("type") == "FeatureCollection" else [document]
    left = _MAX_STROKES
    for feature in features if isinstance(features, list) else []:
        properties, geometry = feature.get("properties"), feature.get("geometry")
        if not isinstance(properties, Mapping) or "brushWidth" not in properties or not isinstance(geometry, Mapping):
            continue
        name, width, points = _find_name(properties), properties["brushWidth"], geometry.get("coordinates")
        if type(width) not in (int, float) or not _WIDTHS[0] <= width <= _WIDTHS[1]:
            raise RequestError(f"`brushWidth` of the region {name!r} is no width: give a number of px")
        if not isinstance(points, list) or not points or not all(map(_is_point, points)):
            raise RequestError(f"the stroke {name!r} is no line of [x, y] points: draw it again")
        left -= 1
        if len(points) > MAX_VERTICES or left < 0:
            raise RequestError(f"there are more than {_MAX_STROKES} strokes, or one is too long: draw them one by one")
        line = shapely.LineString([point[:2] for point in points]) if len(points) > 1 else shapely.Point(points[0][:2])
        # Corners of the round ends and bends that nobody sees go.
        yield name, shapely.simplify(shapely.buffer(line, width / 2, quad_segs=6), width / 100)


def _add_stroke(outlines: list[NamedPolygons], name: str, stroke: Any) -> list[NamedPolygons]:
    """The regions with a stroke, which those of its name that it touches grow by."""
    grown, others, parts = None, [], [stroke]
    for one in outlines:
        shape = shapely.union_all([shapely.Polygon(p[0], p[1:]) for p in one.polygons]) if one.name == name else None
        if shape is None or not shapely.intersects(shape, stroke):
            others.append(one)
            continue
        parts.append(shape)
        grown = len(others) if grown is None else grown
    polygons = tuple(
        tuple(tuple(map(tuple, shapely.get_coordinates(ring).tolist())) for ring in shapely.get_rings(part))
        for part in shapely.get_parts(shapely.union_all(parts))
    )
    others.insert(len(others) if grown is None else grown, NamedPolygons(name, polygons))
    return others


def _walk_geometry(geometry: Any) -> Iterator[Any]:
    if not isinstance(geometry, Mapping):
        raise RequestError(f"a feature of the regions has no geometry: {_HELP}")
    kind = geometry.get("type")
    if kind == "GeometryCollection":
        # One level, as nobody writes deeper ones, and none can be built that does not end.
        parts = geometry.get("geometries")
        simple = [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
        for part in simple:
            if part.get("type") != "GeometryCollection":
                yield from _walk_geometry(part)
    elif kind == "Polygon":
        yield geometry.get("coordinates")
    elif kind == "MultiPolygon":
        parts = geometry.get("coordinates")
        if not isinstance(parts, list):
            raise RequestError(f"a MultiPolygon of the regions has no list of coordinates: {_HELP}")
        yield from parts
    elif kind not in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        raise RequestError(f"the regions hold {str(kind)[:40]!r}, which is no geometry: {_HELP}")


def _find_name(properties: Mapping[str, Any]) -> str:
    """The classification, else the name of an annotation."""
    given = properties.get("classification")
    if isinstance(given, Mapping):
        names = given.get("names")
        given = given.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    name = given or properties.get("name")
    text = "".join(c if c.isprintable() else " " for c in name).strip() if isinstance(name, str) else ""
    return text[:MAX_NAME] or UNNAMED


def _read_polygon(coordinates: Any, name: str) -> Polygon:
    if not isinstance(coordinates, list) or not coordinates:
        raise RequestError(f"the region {name!r} has an empty polygon: delete it, or draw it again")
    if not all(isinstance(ring, list) and all(map(_is_point, ring)) for ring in coordinates):
        raise RequestError(f"the region {name!r} has a corner that is no pair of finite numbers [x, y]: {_HELP}")
    rings = [[(float(point[0]), float(point[1])) for point in ring] for ring in coordinates]
    closed = [ring if ring and ring[0] == ring[-1] else [*ring, *ring[:1]] for ring in rings]
    if any(len(set(ring)) < 3 for ring in closed):
        raise RequestError(f"the region {name!r} has a ring of fewer than three corners: delete it, or draw it again")
    return tuple(tuple(ring) for ring in closed)


def _is_point(value: Any) -> bool:
    # `type` and not `isinstance`: JSON's true is an int to Python. A third number is a height, which slides have none of.
    if not isinstance(value, list) or len(value) < 2:
        return False
    return all(type(v) in (int, float) and abs(v) < 1e9 and math.isfinite(v) for v in value[:2])


def _check_polygon(polygon: Polygon, name: str) -> None:
    shape = shapely.Polygon(polygon[0], polygon[1:])
    if not shapely.is_valid(shape):
        _refuse_invalid(shape, name)
    if shapely.area(shape) == 0:
        raise RequestError(f"the region {name!r} has no area: delete it, or draw it again")


def _refuse_invalid(shape: Any, name: str) -> NoReturn:
    reason, _, place = shapely.is_valid_reason(shape).partition("[")
    near = f" near {', '.join(place.rstrip(']').split())}" if place else ""
    what = (
        "crosses or touches itself" if "intersection" in reason.lower() else f"is no valid polygon ({reason.lower()})"
    )
    raise RequestError(
        f"the region {name!r} {what}{near}: draw that part again so that no two sides cross, and send it once more"
    )
