from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.geometry import Region
from serving.datasets.import_report import FormatError
from serving.datasets.pictures import open_picture
from tests.unit.serving.datasets.readers.layout import boxes, imported

HEADER = "class,cx,cy,x0,y0,x1,y1,tiles,box_coverage"


def whole() -> np.ndarray:
    """A picture in which every pixel is another one, 1012 x 512 px."""
    y, x = np.mgrid[:512, :1012]
    return np.stack([x % 251, y % 249, (x + 2 * y) % 241], -1).astype(np.uint8)


def write(root: Path, *rows: str, tiles: tuple[str, ...] = ("0_0", "500_0")) -> Path:
    """Tiles of 512 px at stride 500, lossless, and rows of objects."""
    folder = root / "midog094"
    (folder / "tiles").mkdir(parents=True)
    for name in tiles:
        x, y = map(int, name.split("_"))
        cut = np.full((512, 512, 3), 9, np.uint8)
        part = whole()[y : y + 512, x : x + 512]
        cut[: part.shape[0], : part.shape[1]] = part
        Image.fromarray(cut).save(folder / "tiles" / f"{name}.png")
    (folder / "labels.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def row(kind: str, x: int, y: int, tiles: str = "0_0") -> str:
    return f"{kind},{x}.0,{y}.0,{x - 25},{y - 25},{x + 25},{y + 25},{tiles},1.0"


def test_a_figure_in_an_overlap_is_one_figure(tmp_path: Path) -> None:
    source = write(tmp_path, row("mitosis", 506, 200, "0_0 500_0"), row("hard_negative", 700, 300, "500_0"))
    (picture,) = imported("midog-tiles", source)[0]
    assert boxes(picture) == [("mitotic figure", (481, 175, 531, 225)), ("look-alike", (675, 275, 725, 325))]
    assert (picture.patient, picture.width, picture.height) == ("midog/094", 1012, 512)
    assert picture.unlabelled_areas == ()


def test_rows_that_repeat_or_contradict_a_place(tmp_path: Path) -> None:
    twice, both = row("mitosis", 100, 100), row("mitosis", 300, 300)
    source = write(tmp_path, twice, twice, both, both.replace("mitosis", "hard_negative"))
    dataset, report = imported("midog-tiles", source)
    (picture,) = dataset
    assert boxes(picture) == [("mitotic figure", (75, 75, 125, 125))]
    assert picture.ambiguous_areas == ((275, 275, 325, 325),)
    assert report.noted["rows that repeat an object"] == 2


def test_tiles_read_as_the_picture_they_were_cut_from(tmp_path: Path) -> None:
    source = write(tmp_path)
    (picture,) = imported("midog-tiles", source)[0]
    with open_picture(source / picture.path) as slide:
        assert (slide.width, slide.height) == (picture.width, picture.height)
        assert (slide.read(Region(470, 30, 90, 60), 90, 60) == whole()[30:90, 470:560]).all()
        assert (slide.read(Region(-5, -5, 20, 20), 20, 20)[:5] == 255).all()
        assert slide.read(Region(400, 0, 300, 200), 150, 100).shape == (100, 150, 3)
        assert slide.thumbnail(100).shape == (51, 100, 3)
        assert slide.sha256 == open_picture(source / picture.path).sha256


def test_where_no_tile_lies_nobody_looked(tmp_path: Path) -> None:
    """An object whose centre is there is left out, and the part of it that a tile shows teaches nothing."""
    source = write(tmp_path, row("mitosis", 520, 200, "0_0"), row("mitosis", 100, 100), tiles=("0_0", "1000_0"))
    dataset, report = imported("midog-tiles", source)
    (picture,) = dataset
    assert boxes(picture) == [("mitotic figure", (75, 75, 125, 125))]
    assert (512, 0, 1000, 512) in picture.unlabelled_areas
    assert (495, 175, 545, 225) in picture.unlabelled_areas
    assert sum(report.dropped.values()) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("mitosis,1,1,0,0,9,9,7_7,1",), "names tile 7_7, which is not there"),
        (("mitosis,1,1,9,9,9,9,0_0,1",), "has no area"),
        (("mitosis,x,1,0,0,9,9,0_0,1",), "'x' is not a number"),
    ],
)
def test_a_wrong_row_is_named_by_line(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(FormatError, match=rf"labels\.csv: line 2.*{message}"):
        imported("midog-tiles", write(tmp_path, *rows))


def test_a_file_that_is_no_tile_and_a_folder_without_a_case(tmp_path: Path) -> None:
    source = write(tmp_path)
    (source / "tiles" / "thumbnail.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"thumbnail\.png"):
        imported("midog-tiles", source)
    (source / "tiles" / "thumbnail.png").rename(source / "tiles" / "9_9.png")
    with pytest.raises(FormatError, match=r"9_9\.png"):
        imported("midog-tiles", source)
    with pytest.raises(FormatError, match="case"):
        imported("midog-tiles", source.rename(tmp_path / "tiles of a picture"))
