"""Crops of single figures and look-alikes: whose tissue they are, and what their middle is."""

from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, draw, imported


def test_a_crop_of_the_other_scanner_is_of_the_slides_patient(tmp_path: Path) -> None:
    draw(tmp_path / "A04_00Ab_mitosis.csv1.jpg", 50, 50)
    draw(tmp_path / "A04_00Ab_mitosis.csv12.jpg", 50, 50)
    first, second = imported("mitos-atypia14-crops", tmp_path)[0]
    assert (first.slide, first.patient, first.mpp) == ("A04", "mitos/04", 0.2455)
    assert first.id != second.id
    assert boxes(first) == [("mitotic figure", (0, 0, 50, 50))]


def test_crops_of_both_scanners_have_no_one_resolution(tmp_path: Path) -> None:
    for name in ("A04_00Ab_mitosis.csv1.jpg", "H04_00Ab_mitosis.csv1.jpg"):
        draw(tmp_path / name, 50, 50)
    with pytest.raises(FormatError, match="both scanners"):
        imported("mitos-atypia14-crops", tmp_path)


def test_a_look_alike_is_of_the_case_that_its_name_begins_with(tmp_path: Path) -> None:
    draw(tmp_path / "27_01_10.jpg", 80, 79)
    draw(tmp_path / "4_02_11.jpg", 80, 80)
    dataset, report = imported("tupac16-look-alikes", tmp_path)
    assert [p.patient for p in dataset] == ["tupac16/27", "tupac16/04"]
    ((label, box),) = boxes(dataset.pictures[0])
    assert label == "look-alike"
    assert ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) == (40, 39.5)
    assert dataset.pictures[0].annotations[0].agreement == 0
    assert report.taken["look-alikes"] == 2
    assert report.taken["mitotic figures"] == 0


@pytest.mark.parametrize("format_name", ["tupac16-look-alikes", "mitos-atypia14-crops"])
def test_a_crop_of_nobody_is_refused(tmp_path: Path, format_name: str) -> None:
    draw(tmp_path / "crop.jpg", 80, 80)
    with pytest.raises(FormatError, match=r"crop\.jpg"):
        imported(format_name, tmp_path)


def test_a_tiny_crop_has_a_box_in_its_middle(tmp_path: Path) -> None:
    draw(tmp_path / "27_01_10.jpg", 30, 40)
    (picture,) = imported("tupac16-look-alikes", tmp_path)[0]
    assert boxes(picture) == [("look-alike", (0, 5, 30, 35))]


def test_pictures_without_labels_are_negatives_of_nothing(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 50, 50)
    draw(tmp_path / "below" / "a.png", 50, 50)
    dataset, report = imported("pictures", tmp_path)
    assert sorted(p.id for p in dataset) == ["a", "below/a"]
    assert len({p.patient for p in dataset}) == 2
    assert not any(p.labelled for p in dataset)
    assert report.taken["pictures, unlabelled"] == 2
