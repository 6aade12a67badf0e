from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, by_id, draw, imported


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Cases 01 and 02 of the training set and 80 of the test set, with pictures wider than high."""
    for name in ("01/01", "01/02", "02/01", "80/01"):
        draw(tmp_path / f"images/{name}.tif", 400, 200)
    labels = tmp_path / "mitoses_ground_truth/01"
    labels.mkdir(parents=True)
    (labels / "01.csv").write_text("50,300\n")
    (labels / "02.csv").write_text("")
    return tmp_path


def test_the_row_comes_before_the_column(root: Path) -> None:
    dataset, _ = imported("tupac16", root, root / "images")
    assert boxes(by_id(dataset)["01/01"]) == [("mitotic figure", (275, 25, 325, 75))]


def test_an_empty_or_absent_file_of_a_training_case_means_no_mitosis(root: Path) -> None:
    dataset, _ = imported("tupac16", root, root / "images")
    pictures = by_id(dataset)
    assert [pictures[i].labelled for i in ("01/02", "02/01", "80/01")] == [True, True, False]
    assert pictures["01/02"].annotations == ()


def test_pictures_of_a_case_are_one_patient_at_the_stated_resolution(root: Path) -> None:
    dataset, _ = imported("tupac16", root, root / "images")
    pictures = by_id(dataset)
    assert pictures["01/01"].patient == pictures["01/02"].patient == "tupac16/01"
    assert pictures["01/01"].mpp == 0.25
    assert by_id(imported("tupac16", root, root / "images", mpp=0.3)[0])["01/01"].mpp == 0.3


def test_the_alternative_labels_add_look_alikes(root: Path) -> None:
    folder = root / "nonmitoses_ground_truth/02"
    folder.mkdir(parents=True)
    (folder / "01.csv").write_text("100,200\n")
    dataset, _ = imported("tupac16", root, root / "images")
    look_alike = by_id(dataset)["02/01"].annotations[0]
    assert (look_alike.label, look_alike.agreement, look_alike.box) == ("look-alike", 0.0, (175, 75, 225, 125))


def test_labels_without_a_picture_are_counted(root: Path) -> None:
    (root / "mitoses_ground_truth/01/09.csv").write_text("1,2\n")
    _, report = imported("tupac16", root, root / "images")
    assert report.dropped["label files without a picture"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("50,300\n60,abc\n", r"01\.csv: line 2, field column: 'abc' is not a number"),
        ("50,300\n\n60\n", r"01\.csv: line 3: has 1 fields, must have row,column"),
        ("nan,3\n", r"01\.csv: line 1, field row: 'nan' is not finite"),
    ],
)
def test_a_wrong_file_is_named_by_line_and_field(root: Path, content: str, message: str) -> None:
    (root / "mitoses_ground_truth/01/01.csv").write_text(content)
    with pytest.raises(FormatError, match=message):
        imported("tupac16", root, root / "images")


def test_a_folder_without_ground_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no mitoses_ground_truth"):
        imported("tupac16", tmp_path)
