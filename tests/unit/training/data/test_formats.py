from pathlib import Path

import pytest

from tests.unit.training.data.readers.layout import draw, imported
from training.data.formats import FORMATS
from training.data.import_report import FormatError


def test_every_reader_puts_its_own_name_into_the_data_set(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("picture,x,y,label\na.png,50,50,mitosis\n")
    assert imported("csv", tmp_path / "labels.csv")[0].format == "csv"
    assert len({layout.read for layout in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("name", [n for n, layout in FORMATS.items() if layout.takes == "file"])
def test_a_folder_where_a_file_is_wanted_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=rf"path: must be a file for {name}"):
        imported(name, tmp_path)


@pytest.mark.parametrize("name", [n for n, layout in FORMATS.items() if layout.takes == "folder"])
def test_a_file_where_a_folder_is_wanted_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "labels.csv"
    path.touch()
    with pytest.raises(FormatError, match=rf"path: must be a folder for {name}"):
        imported(name, path)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_file_or_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path if FORMATS[name].takes == "folder" else tmp_path / "empty"
    if path != tmp_path:
        path.touch()
    with pytest.raises(FormatError, match=str(path)):
        imported(name, path)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*absent\.csv"):
        imported("csv", tmp_path / "absent.csv", tmp_path)


def test_one_picture_under_two_names_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    path = tmp_path / "labels.csv"
    path.write_text("picture,x,y,label\na.png,50,50,mitosis\na,50,50,mitosis\n")
    with pytest.raises(FormatError, match="picture a: comes twice"):
        imported("csv", path)
