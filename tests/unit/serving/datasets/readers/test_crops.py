from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, by_id, draw, imported

AMIBR = ",slide,dataset,uid,x,y,expert1_label,expert2_label,expert1_atypical,expert2_atypical,expert3_atypical,majority_atypical"
MIDOG25 = "image_id,filename,coordinateX,coordinateY,Tumor,Scanner,Origin,Species,expert1,expert2,expert3,majority"


def crop(path: Path, *, padding: int = 0) -> None:
    """A 128 px crop, its last columns black."""
    draw(path, 128, 128)
    if padding:
        pixels = np.array(Image.open(path))
        pixels[:, -padding:] = 0
        Image.fromarray(pixels).save(path)


def amibr(root: Path, *rows: str, columns: str = AMIBR) -> Path:
    path = root / "amibr.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def test_nmf_means_a_normal_mitotic_figure(tmp_path: Path) -> None:
    crop(tmp_path / "MIDOG21_6.png")
    path = amibr(tmp_path, "0,002.tiff,MIDOG21,6,4422,216,NMF prometaphase,NMF metaphase,False,False,False,False")
    (picture,) = imported("amibr", path)[0]
    assert boxes(picture) == [("mitotic figure", (39, 39, 89, 89))]
    assert picture.annotations[0].agreement == 1
    assert picture.attributes["kind"] == "normal"


def test_padded_crops_are_dropped_and_counted(tmp_path: Path) -> None:
    crop(tmp_path / "MIDOG21_6.png")
    crop(tmp_path / "MIDOG21_7.png", padding=1)
    row = "{0},002.tiff,MIDOG21,{0},{0}000,216,NMF metaphase,NMF metaphase,False,False,False,False"
    dataset, report = imported("amibr", amibr(tmp_path, row.format(6), row.format(7)))
    assert [p.id for p in dataset] == ["MIDOG21_6"]
    assert report.dropped["crops with black padding"] == 1


def test_the_case_is_the_patient_in_every_data_set_that_shows_it(tmp_path: Path) -> None:
    crop(tmp_path / "MIDOG21_6.png")
    crop(tmp_path / "TUPAC16_9.png")
    path = amibr(
        tmp_path,
        "0,002.tiff,MIDOG21,6,4422,216,NMF metaphase,NMF metaphase,False,False,False,False",
        "1,04_stitched1.tif,TUPAC16,9,10,20,AMF other,AMF other,True,True,True,True",
    )
    assert {p.patient for p in imported("amibr", path)[0]} == {"midog/002", "tupac16/04"}


def test_neighbours_in_the_crop_are_labelled_and_cut_ones_are_unlabelled_area(tmp_path: Path) -> None:
    for uid in (1, 2, 3):
        crop(tmp_path / f"MIDOG21_{uid}.png")
    row = "{0},002.tiff,MIDOG21,{0},{1},500,NMF metaphase,NMF metaphase,False,False,False,False"
    # 40 px to the right lies in the crop; 80 px lies beyond, and 9 px of its box reach in.
    path = amibr(tmp_path, row.format(1, 1000), row.format(2, 1040), row.format(3, 1080))
    pictures = by_id(imported("amibr", path)[0])
    assert [b for _, b in boxes(pictures["MIDOG21_1"])] == [(39, 39, 89, 89), (79, 39, 128, 89)]
    assert pictures["MIDOG21_1"].unlabelled_areas == ((119, 39, 128, 89),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0,002.tiff,MIDOG21,6,4422,216,a,b,False,False,False,maybe", r"line 2, field majority_atypical: is 'maybe'"),
        ("0,002.tiff,MIDOG21,6,left,216,a,b,False,False,False,True", r"line 2, field x: 'left' is not a number"),
        ("0,002.tiff,MIDOG21,6,1", r"line 2: has 5 fields, the header has 12"),
    ],
)
def test_a_wrong_amibr_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(FormatError, match=rf"amibr\.csv: {message}"):
        imported("amibr", amibr(tmp_path, row))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"amibr\.csv: line 1: no column 'uid'"):
        imported("amibr", amibr(tmp_path, columns=AMIBR.replace(",uid,", ",id,")))


def test_midog_2025_crops_are_grouped_by_case_and_the_third_expert_may_be_silent(tmp_path: Path) -> None:
    crop(tmp_path / "1.png")
    crop(tmp_path / "2.png")
    path = tmp_path / "midog25.csv"
    path.write_text(
        f"{MIDOG25}\n"
        "1.png,201.tiff,5047,459,canine lung cancer,3D Histech,VMU Vienna,Canine,NMF,NMF,,NMF\n"
        "2.png,201.tiff,2658,2519,canine lung cancer,3D Histech,VMU Vienna,Canine,AMF,NMF,AMF,AMF\n"
    )
    pictures = by_id(imported("midog25-atypical", path)[0])
    assert {p.patient for p in pictures.values()} == {"midog/201"}
    assert [pictures[i].attributes["kind"] for i in "12"] == ["normal", "atypical"]
    assert "expert 3" not in pictures["1"].attributes
    assert len(pictures["1"].boxes()) == 1


def test_a_wrong_midog_2025_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "midog25.csv"
    path.write_text("image_id,filename,majority\n1.png,201.tiff,NMF\n2.png,201.tiff,non-mitotic\n")
    with pytest.raises(
        FormatError, match=r"midog25\.csv: line 3, field majority: is 'non-mitotic', must be AMF or NMF"
    ):
        imported("midog25-atypical", path)


def test_crops_without_cases_are_one_patient(tmp_path: Path) -> None:
    crop(tmp_path / "normal/1.jpg")
    crop(tmp_path / "atypical/2.jpg")
    (tmp_path / "expert_votes.csv").write_text("Filename,Expert_1,Expert_2,Majority\n1.png,Normal,Atypical,Normal\n")
    pictures = by_id(imported("atnorm", tmp_path)[0])
    assert {p.patient for p in pictures.values()} == {"tests"}
    assert pictures["normal/1"].attributes == {"kind": "normal", "expert 1": "normal", "expert 2": "atypical"}
    assert pictures["atypical/2"].attributes == {"kind": "atypical"}


def test_a_table_of_votes_without_file_names_is_named(tmp_path: Path) -> None:
    crop(tmp_path / "normal/1.jpg")
    (tmp_path / "expert_votes.csv").write_text("Image,Majority\n1.png,Normal\n")
    with pytest.raises(FormatError, match=r"expert_votes\.csv: line 1: no column 'Filename'"):
        imported("atnorm", tmp_path)
    with pytest.raises(FormatError, match="holds neither atypical nor normal"):
        imported("atnorm", tmp_path / "normal")


def test_the_real_amibr_set_loses_its_padded_crops_and_nothing_else(shared_data: Path) -> None:
    dataset, report = imported("amibr", shared_data / "amibr.csv", shared_data / "amibr")
    assert len(dataset.pictures) == 3720 - 122
    assert report.dropped == {"crops with black padding": 122}
    assert all(len(p.boxes()) >= 1 for p in dataset)
