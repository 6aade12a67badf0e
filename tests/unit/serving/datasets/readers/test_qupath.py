import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.annotations import join_boxes, make_bounding_box
from serving.datasets.import_report import FormatError
from serving.datasets.store import Box
from serving.exports.geojson import HOTSPOT, MITOSIS
from tests.field_files import SCN_AT, scn, tiff
from tests.samples import noise
from tests.unit.serving.datasets.readers.layout import boxes, draw, imported

SQUARE = [[[10, 20], [30, 20], [30, 50], [10, 50], [10, 20]]]


def feature(
    name: str | None, *, kind: str = "annotation", geometry: dict[str, Any] | None = None, **properties: Any
) -> dict[str, Any]:
    """An object as QuPath writes it: the class holds name and colour."""
    classification = {} if name is None else {"classification": {"name": name, "color": [200, 0, 0]}}
    return {
        "type": "Feature",
        "id": "5f8a2f0e-0000-4000-8000-000000000000",
        "geometry": geometry or {"type": "Polygon", "coordinates": SQUARE},
        "properties": {"objectType": kind, **classification, **properties},
    }


def write(folder: Path, *features: dict[str, Any], name: str = "a.geojson") -> Path:
    draw(folder / "a.png")
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_annotations_are_boxes_by_class(tmp_path: Path) -> None:
    dataset, _ = imported("qupath", write(tmp_path, feature("Mitosis"), feature("Not mitosis")))
    (picture,) = dataset
    assert boxes(picture) == [("mitotic figure", (10, 20, 30, 50)), ("look-alike", (10, 20, 30, 50))]
    assert [a.agreement for a in picture.annotations] == [1, 0]


def test_rejected_detections_are_look_alikes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        feature("Mitosis", kind="detection", measurements={"probability": 0.9}),
        feature("Mitosis: Rejected", kind="detection"),
        feature("rejected", kind="detection"),
    )
    dataset, report = imported("qupath", path)
    assert [a.label for a in dataset.pictures[0].annotations] == ["mitotic figure", "look-alike", "look-alike"]
    assert report.noted["detections: make sure that a person judged each"] == 3


def test_classes_of_the_projects_own_export_are_understood(tmp_path: Path) -> None:
    figure, hotspot = feature("x", kind="detection"), feature("x", isLocked=True)
    figure["properties"]["classification"], hotspot["properties"]["classification"] = MITOSIS, HOTSPOT
    dataset, report = imported("qupath", write(tmp_path, figure, hotspot))
    assert len(dataset.pictures[0].annotations) == 1
    assert report.dropped["objects of class 'Mitotic hotspot'"] == 1


def test_other_forms_of_a_class_and_none(tmp_path: Path) -> None:
    plain, derived = feature(None), feature(None)
    plain["properties"]["classification"] = "mitotic figure"
    derived["properties"]["classification"] = {"names": ["Mitosis", "rejected"], "color": [0, 0, 0]}
    dataset, report = imported("qupath", write(tmp_path, plain, derived, feature(None)))
    assert [a.label for a in dataset.pictures[0].annotations] == ["mitotic figure", "look-alike"]
    assert report.dropped["objects without a class"] == 1


def test_points_are_one_figure_each_at_12_um(tmp_path: Path) -> None:
    points = feature("Mitosis", geometry={"type": "MultiPoint", "coordinates": [[50, 50], [120, 40]]})
    dataset, _ = imported("qupath", write(tmp_path, points), mpp=0.5)
    assert [b for _, b in boxes(dataset.pictures[0])] == [(37.5, 37.5, 62.5, 62.5), (107.5, 27.5, 132.5, 52.5)]
    assert all(a.nominal for a in dataset.pictures[0].annotations)


@pytest.mark.parametrize(("gap", "figures"), [(24, [(10, 20, 64, 50)]), (26, [(10, 20, 30, 50), (56, 20, 66, 30)])])
def test_parts_of_a_polygon_are_one_figure_where_they_are_near(
    tmp_path: Path, gap: int, figures: list[tuple[float, ...]]
) -> None:
    x = 30 + gap  # 25 px are 12.5 um
    other = [[[x, 20], [x + 10, 20], [x + 10, 30], [x, 20]]]
    plates = feature("Mitosis", geometry={"type": "MultiPolygon", "coordinates": [SQUARE, other]})
    dataset, report = imported("qupath", write(tmp_path, plates), mpp=0.5)
    assert [b for _, b in boxes(dataset.pictures[0])] == figures
    assert report.taken["mitotic figures"] == len(figures)
    assert not any(a.nominal for a in dataset.pictures[0].annotations)


def test_each_part_of_a_reviewed_area_was_looked_at_and_what_lies_between_was_not(tmp_path: Path) -> None:
    other = [[[110, 20], [130, 20], [130, 50], [110, 50], [110, 20]]]
    area = feature("Region*", geometry={"type": "MultiPolygon", "coordinates": [SQUARE, other]})
    (picture,) = imported("qupath", write(tmp_path, area))[0]
    assert sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in picture.unlabelled_areas) == 200 * 100 - 2 * 20 * 30


BOX = st.tuples(*[st.integers(0, 200)] * 2, *[st.integers(1, 30)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(parts=st.lists(BOX, min_size=1, max_size=8), gap=st.integers(0, 60))
def test_groups_of_parts_hold_every_part_and_do_not_depend_on_order(parts: list[Box], gap: int) -> None:
    groups = join_boxes(parts, gap)
    assert all(any(g[0] <= p[0] and g[1] <= p[1] and g[2] >= p[2] and g[3] >= p[3] for g in groups) for p in parts)
    assert sorted(join_boxes(parts[::-1], gap)) == sorted(groups)
    assert join_boxes(parts, 1000) == [make_bounding_box([p[:2] for p in parts] + [p[2:] for p in parts])]


def test_outside_a_reviewed_area_nobody_looked(tmp_path: Path) -> None:
    dataset, _ = imported("qupath", write(tmp_path, feature("Region*")))
    (picture,) = dataset
    assert picture.labelled
    assert picture.annotations == ()
    assert sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in picture.unlabelled_areas) == 200 * 100 - 20 * 30


def test_an_empty_file_leaves_its_slide_unlabelled(tmp_path: Path) -> None:
    dataset, _ = imported("qupath", write(tmp_path))
    assert not dataset.pictures[0].labelled


@pytest.mark.parametrize("name", ["a.png.geojson", "a.geojson", "a/detections.geojson", "a.json"])
def test_the_slide_is_found_by_the_files_name_or_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, feature("Mitosis"), name=name)
    dataset, _ = imported("qupath", tmp_path)
    assert dataset.pictures[0].path == "a.png"


def test_gzipped_files_are_read(tmp_path: Path) -> None:
    plain = write(tmp_path, feature("Mitosis"))
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert len(imported("qupath", packed)[0].pictures[0].annotations) == 1
    packed.write_bytes(b"no gzip")
    with pytest.raises(FormatError, match=r"a\.geojson\.gz: file: is not gzipped text"):
        imported("qupath", packed)


def test_a_file_without_a_picture_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, feature("Mitosis"))
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    with pytest.raises(FormatError, match=r"pictures: none was taken .*1 pictures that are not in the folder"):
        imported("qupath", path)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"geometry": {"type": "Circle", "coordinates": []}}, r"features\.1\.geometry\.type"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, r"features\.1\.geometry\.coordinates: holds no points"),
        ({"geometry": {"type": "Point", "coordinates": [1]}}, r"features\.1\.geometry\.coordinates: \[1\] is no x, y"),
        (
            {"geometry": {"type": "Polygon", "coordinates": [["x"]]}},
            r"features\.1\.geometry\.coordinates: 'x' is no list",
        ),
        ({"properties": 3}, r"features\.1\.properties"),
    ],
)
def test_a_wrong_file_is_named_by_key(tmp_path: Path, broken: dict[str, Any], message: str) -> None:
    path = write(tmp_path, feature("Mitosis"), {**feature("Mitosis"), **broken})
    with pytest.raises(FormatError, match=rf"a\.geojson: {message}"):
        imported("qupath", path)


def test_px_of_the_file_become_those_that_the_slide_is_read_in(tmp_path: Path) -> None:
    """Pixels that are not square are read as square ones, and QuPath counts from where the bounds of a slide begin."""
    tiff(scale=(1, 0.5), compression="deflate")(tmp_path / "oblong.tif", noise(300, 200))
    scn(tmp_path / "bounded.tif", noise(300, 200))
    for name in ("oblong", "bounded"):
        document = {"type": "FeatureCollection", "features": [feature("Mitosis")]}
        (tmp_path / f"{name}.geojson").write_text(json.dumps(document))
    dataset, _ = imported("qupath", tmp_path)
    x, y = SCN_AT
    assert {picture.id: boxes(picture) for picture in dataset} == {
        "oblong": [("mitotic figure", (10, 40, 30, 100))],
        "bounded": [("mitotic figure", (x + 10, y + 20, x + 30, y + 50))],
    }
