from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from serving.datasets.readers.classes import ClassNames
from tests.field_files import tiff
from tests.samples import noise
from tests.unit.serving.datasets.readers.layout import boxes, by_id, draw, imported


def write(folder: Path, text: str) -> Path:
    for name in ("a", "b"):
        draw(folder / f"{name}.png")
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_boxes_and_centres(tmp_path: Path) -> None:
    boxed = write(
        tmp_path, "picture,x1,y1,x2,y2,label,agreement\na.png,10,20,40,50,mitosis,0.6\nb.png,1,2,3,4,look-alike,\n"
    )
    pictures = by_id(imported("csv", boxed)[0])
    assert boxes(pictures["a"]) == [("mitotic figure", (10, 20, 40, 50))]
    assert (pictures["a"].annotations[0].agreement, pictures["b"].annotations[0].agreement) == (0.6, 0)
    centred = write(tmp_path, "picture,x,y,label\na.png,100,50,mitosis\n")
    assert boxes(imported("csv", centred)[0].pictures[0]) == [("mitotic figure", (75, 25, 125, 75))]


def test_a_row_without_coordinates_is_a_picture_that_shows_nothing(tmp_path: Path) -> None:
    dataset, _ = imported("csv", write(tmp_path, "picture,x,y,label\na.png,,,\n"))
    assert dataset.pictures[0].labelled
    assert dataset.pictures[0].annotations == ()


def test_patients_come_from_the_column_or_the_barcode(tmp_path: Path) -> None:
    name = "TCGA-A2-A0YE-01Z-00-DX1.8A2E3094-5755-42BC-969D-7F0A2ECA0F39"
    draw(tmp_path / f"{name}.png")
    text = f"picture,x,y,label,patient\na.png,9,9,mitosis,P7\nb.png,9,9,mitosis,\n{name}.png,9,9,mitosis,\n"
    patients = [p.patient for p in imported("csv", write(tmp_path, text))[0]]
    assert patients == ["P7", "b", "TCGA-A2-A0YE"]


def test_new_class_names_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, "picture,x,y,label\na.png,9,9,MF\n")
    with pytest.raises(FormatError, match=r"labels\.csv: line 2, field label: 'MF' is no known class"):
        imported("csv", path)
    classes = ClassNames().with_more(mitotic=["mf"], look_alike=[])
    assert len(imported("csv", path, classes=classes)[0].pictures[0].boxes()) == 1
    with pytest.raises(ValueError, match="cannot mean both"):
        ClassNames().with_more(mitotic=["MF"], look_alike=["mf"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,x,y\na.png,1,2\n", r"line 1: no column 'label'"),
        ("picture,x1,y1,x2,y2,label\na.png,100,50,30,30,mitosis\n", r"line 2, field x2: .*corners, not sizes"),
        ("picture,x,y,label\na.png,1,2,mitosis\na.png,1,north,mitosis\n", r"line 3, field y: 'north' is not a number"),
        ("picture,x,y,label\na.png,1,,mitosis\n", r"line 2, field y: is empty"),
        ("picture,x,y,label,agreement\na.png,1,2,mitosis,80\n", r"line 2, field agreement: is 80, must be 0 to 1"),
        (
            "picture,x,y,label,patient\na.png,1,2,mitosis,P\nb.png,1,2,mitosis,R\na.png,1,2,mitosis,Q\n",
            r"line 4, field patient: contradicts line 2",
        ),
        ("", r"line 1: no column 'picture', 'label'"),
        ("picture,label\na\0.png,mitosis\n", r"pictures: none was taken"),
    ],
)
def test_a_wrong_file_is_named_by_line_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError, match=rf"labels\.csv: {message}"):
        imported("csv", write(tmp_path, text))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(b"picture,label\n\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"labels\.csv: behind line \d+: is not UTF-8"):
        imported("csv", path)


def test_columns_that_are_not_known_are_said(tmp_path: Path) -> None:
    _, report = imported("csv", write(tmp_path, "picture,x,y,label,mood\na.png,1,2,mitosis,good\n"))
    assert report.noted["column 'mood' is not known and was not read"] == 1


def test_labels_of_unknown_px_on_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    tiff(scale=(1, 0.5), compression="deflate")(tmp_path / "oblong.tif", noise(300, 200))
    with pytest.raises(FormatError, match=r"oblong\.tif, whose pixels are not square"):
        imported("csv", write(tmp_path, "picture,x,y,label\noblong.tif,100,50,mitosis\n"))
