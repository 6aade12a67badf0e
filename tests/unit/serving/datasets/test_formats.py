from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError, ImportReport
from serving.datasets.readers.registry import FORMATS, reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Annotation, Dataset, Picture
from tests.unit.serving.datasets.readers.layout import draw, imported


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


def test_a_new_reader_is_one_registered_function(tmp_path: Path) -> None:
    @reader("one-figure", summary="a picture whose middle shows a figure", takes="file", licence="CC0-1.0")
    def read(source: Source, report: ImportReport) -> Dataset:
        box = Annotation(box=(40, 40, 60, 60), label="mitotic figure", agreement=1)
        name = source.path.name
        one = Picture(id="one", path=name, width=100, height=100, slide="s", patient="p", annotations=(box,))
        return Dataset(name="n", format="one-figure", licence="CC0-1.0", root=str(tmp_path), pictures=(one,))

    try:
        draw(tmp_path / "a.png")
        dataset, report = imported("one-figure", tmp_path / "a.png")
        assert dataset.pictures[0].boxes().tolist() == [[40, 40, 60, 60]]
        assert report.taken["pictures, labelled"] == 1
        with pytest.raises(ValueError, match="two formats called one-figure"):
            reader("one-figure", summary="", takes="file")(read)
    finally:
        FORMATS.remove("one-figure")
    with pytest.raises(ValueError, match="no format one-figure; there are amibr"):
        FORMATS["one-figure"]
