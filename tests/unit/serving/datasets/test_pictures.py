from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.geometry import Region
from serving.datasets.import_report import FormatError
from serving.datasets.pictures import PictureFolder, open_picture, read_properties
from tests.samples import noise, write_picture, write_pyramid


@pytest.mark.parametrize("name", ["flat.tif", "flat.bmp"])
def test_flat_tiffs_and_bitmaps_of_contests_are_read_to_the_pixel(tmp_path: Path, name: str) -> None:
    pixels = noise(60, 40)
    Image.fromarray(pixels).save(tmp_path / name)
    with open_picture(tmp_path / name) as slide:
        assert (slide.read(Region(10, 5, 30, 20), 30, 20) == pixels[5:25, 10:40]).all()


def test_slides_keep_their_resolution(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "slide.tif", noise(600, 400), mpp=0.25)
    facts = read_properties(path)
    assert (facts.width, facts.height) == (600, 400)
    assert facts.mpp == pytest.approx(0.25, rel=1e-3)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_picture(path, noise(60, 40))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FormatError, match=r"a\.png: picture: a\.png is a damaged picture"):
        read_properties(path)
    (tmp_path / "b.tif").write_bytes(b"no picture")
    with pytest.raises(UnsupportedFormatError, match=r"b\.tif is neither a slide nor a picture"):
        open_picture(tmp_path / "b.tif")
    with pytest.raises(UnreadableSlideError):
        open_picture(tmp_path / "absent.bmp")


def test_names_find_pictures_by_path_name_and_stem(tmp_path: Path) -> None:
    for name in ("x/a.png", "y/b.png", "y/a.png", "b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name)
    folder = PictureFolder(tmp_path)
    assert folder.find("x/a.png") == folder.find("x/a") == tmp_path / "x/a.png"
    # A path is exact even where another picture in a deeper folder has the same name.
    assert folder.find("b.png") == tmp_path / "b.png"
    assert folder.find("c.png", "y\\a.png") == tmp_path / "y/a.png"
    assert folder.find("c") is None
    with pytest.raises(FormatError, match=r"picture a: the name means several: x/a\.png, y/a\.png"):
        folder.find("a")
