"""Formats are told by the files of a folder, and a picture that does not open ends nothing."""

import json
from pathlib import Path

import pytest

from serving.core.errors import RequestError
from serving.datasets.labelled_folder import find_format, read_labelled_folder
from serving.datasets.store import write_store
from tests.labelled_fields import MPP, write_midog


def test_a_published_folder_and_its_store_are_the_same(tmp_path: Path) -> None:
    folder = write_midog(tmp_path / "data")
    data, report = read_labelled_folder(folder, mpp=MPP)
    assert [picture.patient for picture in data] == ["midog/001", "midog/002", "midog/003"]
    assert {picture.attributes["scanner"] for picture in data} == {"3DHistech", "Hamamatsu"}
    assert report.taken
    write_store(data, tmp_path / "store" / "set.json")
    again, _ = read_labelled_folder(tmp_path / "store")
    assert again == data


def test_a_broken_picture_is_kept_where_its_size_is_stated(tmp_path: Path) -> None:
    data, report = read_labelled_folder(write_midog(tmp_path / "data", broken="002"))
    assert len(data.pictures) == 3
    assert any("002.tiff" in line for line in report.lines())


def test_geojson_beside_slides_is_of_qupath(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    assert find_format(tmp_path) == ("qupath", tmp_path)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "holds no labels that are known"),
        ({"notes.json": "[1]", "x.txt": ""}, "holds no labels that are known"),
        ({"a.sqlite": "", "b.sqlite": ""}, "name one of them"),
        ({"a.sqlite": "no database"}, "cannot be read as sliderunner"),
        ({"MIDOG.json": '{"images": [1], "annotations": [], "categories": []}'}, "cannot be read as midog"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(files: dict[str, str], why: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(RequestError, match=why):
        read_labelled_folder(tmp_path)
    with pytest.raises(RequestError, match="there is no format"):
        read_labelled_folder(tmp_path, format_name="nothing")
