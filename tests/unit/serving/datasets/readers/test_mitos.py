from pathlib import Path

import pytest

from serving.datasets.import_report import FormatError
from tests.unit.serving.datasets.readers.layout import boxes, by_id, draw, imported


@pytest.fixture
def mitos2012(tmp_path: Path) -> Path:
    """Slide 03 on both scanners; the first mitosis of A03_00 has four pixels, the second one."""
    for name in ("A03_00", "A03_01", "A03_02", "H03_00"):
        draw(tmp_path / f"{name}.bmp", 400, 200)
    (tmp_path / "A03_00.csv").write_text("300,50,301,50,299,53,300,51\n10,20,\n")
    (tmp_path / "A03_01.csv").write_text("")
    (tmp_path / "H03_00.csv").write_text("5,5,9,9\n")
    return tmp_path


def test_a_line_is_every_pixel_of_one_mitosis(mitos2012: Path) -> None:
    dataset, _ = imported("mitos2012", mitos2012)
    picture = by_id(dataset)["A03_00"]
    assert boxes(picture) == [("mitotic figure", (299, 50, 302, 54)), ("mitotic figure", (10, 20, 11, 21))]
    assert not picture.annotations[0].nominal
    assert picture.mpp == 0.2456


def test_no_file_means_unlabelled_and_an_empty_one_no_mitosis(mitos2012: Path) -> None:
    dataset, _ = imported("mitos2012", mitos2012)
    assert [by_id(dataset)[i].labelled for i in ("A03_01", "A03_02")] == [True, False]


def test_previews_with_painted_mitoses_are_left_out(mitos2012: Path) -> None:
    draw(mitos2012 / "A03_00.jpg", 400, 200)
    dataset, report = imported("mitos2012", mitos2012)
    assert by_id(dataset)["A03_00"].path == "A03_00.bmp"
    assert report.dropped["JPEG previews, in which the contest painted over the mitoses"] == 1


def test_one_slide_on_two_scanners_is_one_patient(mitos2012: Path) -> None:
    pictures = by_id(imported("mitos2012", mitos2012)[0])
    assert pictures["A03_00"].patient == pictures["H03_00"].patient
    assert (pictures["A03_00"].slide, pictures["H03_00"].slide) == ("A03", "H03")
    assert pictures["H03_00"].mpp == 0.2274


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n", r"A03_00\.csv: line 1: has 3 numbers, which are no x,y pairs"),
        ("1,2\n3,4,x,6\n", r"A03_00\.csv: line 2, field 3: 'x' is not a number"),
    ],
)
def test_a_wrong_pixel_list_is_named_by_line_and_field(mitos2012: Path, content: str, message: str) -> None:
    (mitos2012 / "A03_00.csv").write_text(content)
    with pytest.raises(FormatError, match=message):
        imported("mitos2012", mitos2012)


def test_a_picture_that_is_not_the_contests_is_named(mitos2012: Path) -> None:
    draw(mitos2012 / "holiday.bmp")
    with pytest.raises(FormatError, match=r"holiday\.bmp: file name: does not begin as the contest names pictures"):
        imported("mitos2012", mitos2012)


@pytest.fixture
def atypia(tmp_path: Path) -> Path:
    """A frame of slide 03 on each scanner, labelled; one more without labels; one at x20."""
    for name in (
        "A03/frames/x40/A03_00Aa",
        "A03/frames/x40/A03_00Ab",
        "H03/frames/x40/H03_00Aa",
        "A03/frames/x20/A03_00A",
    ):
        draw(tmp_path / f"{name}.tiff", 400, 200)
    for slide in ("A03", "H03"):
        (tmp_path / slide / "mitosis").mkdir()
        (tmp_path / f"{slide}/mitosis/{slide}_00Aa_mitosis.csv").write_text("300.5,50,0.8\n")
        (tmp_path / f"{slide}/mitosis/{slide}_00Aa_not_mitosis.csv").write_text("100,60,0.2\n")
    return tmp_path


def test_x_comes_first_and_confidence_is_agreement(atypia: Path) -> None:
    dataset, report = imported("mitos-atypia14", atypia)
    picture = by_id(dataset)["A03/frames/x40/A03_00Aa"]
    figure = next(a for a in picture.annotations if a.label == "mitotic figure")
    look_alike = next(a for a in picture.annotations if a.label == "look-alike")
    assert ((figure.box[0] + figure.box[2]) / 2, (figure.box[1] + figure.box[3]) / 2) == pytest.approx((300.5, 50))
    assert (figure.agreement, look_alike.agreement) == (0.8, 0.2)
    assert picture.ambiguous_areas == (look_alike.box,)
    assert report.dropped["frames at x10 and x20"] == 1


def test_twins_on_two_scanners_are_one_patient(atypia: Path) -> None:
    pictures = by_id(imported("mitos-atypia14", atypia)[0])
    a, h = pictures["A03/frames/x40/A03_00Aa"], pictures["H03/frames/x40/H03_00Aa"]
    assert a.patient == h.patient == "mitos/03"
    assert (a.slide, h.slide) == ("A03", "H03")
    assert (a.mpp, h.mpp) == (0.2455, 0.2274)


def test_a_frame_without_files_is_unlabelled(atypia: Path) -> None:
    pictures = by_id(imported("mitos-atypia14", atypia)[0])
    assert not pictures["A03/frames/x40/A03_00Ab"].labelled


def test_the_number_decides_and_not_the_file(atypia: Path) -> None:
    (atypia / "A03/mitosis/A03_00Aa_not_mitosis.csv").write_text("100,60,0.5\n")
    dataset, report = imported("mitos-atypia14", atypia)
    assert len(by_id(dataset)["A03/frames/x40/A03_00Aa"].boxes()) == 2
    assert report.noted["objects in look-alike files whose confidence makes them mitotic figures"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,1.5\n", r"A03_00Aa_mitosis\.csv: line 1, field confidence: is 1\.5, must be 0 to 1"),
        ("1,2,1\n1,,1\n", r"A03_00Aa_mitosis\.csv: line 2, field y: is empty"),
        ("1,2,1,4\n", r"A03_00Aa_mitosis\.csv: line 1: has 4 fields, must have x,y,confidence"),
    ],
)
def test_a_wrong_label_file_is_named_by_line_and_field(atypia: Path, content: str, message: str) -> None:
    (atypia / "A03/mitosis/A03_00Aa_mitosis.csv").write_text(content)
    with pytest.raises(FormatError, match=message):
        imported("mitos-atypia14", atypia)
