from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.errors import UnreadableSlideError
from serving.core.geometry import Region
from serving.datasets.flat_tiff import FlatTiff
from serving.datasets.pictures import open_picture
from tests.fakes import tissue
from tests.samples import noise
from tests.unit.serving.datasets.pictures import picture
from training.data.sub_tiles import make_sub_tiles, read_sub_tile


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_sub_tiles_are_read_from_pictures_as_contests_publish_them(tmp_path: Path, suffix: str) -> None:
    pixels = noise(500, 400)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    table = make_sub_tiles([picture([], size=(500, 400)).model_copy(update={"path": f"a{suffix}"})])
    index = int((table.origins == (125, 0)).all(1).argmax())
    assert (read_sub_tile(tmp_path, table, index) == pixels[:250, 125:375]).all()


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw"])
def test_a_tiff_of_strips_is_read_in_part_as_it_is_read_whole(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(tissue(900, 700)).save(path, compression=compression)
    whole = np.asarray(Image.open(path).convert("RGB"))
    with open_picture(path) as slide:
        assert isinstance(slide, FlatTiff)
        assert (slide.width, slide.height) == (900, 700)
        for region in (Region(0, 0, 250, 250), Region(650, 450, 250, 250), Region(311, 123, 250, 250)):
            part = slide.read(region, 250, 250)
            assert np.abs(part.astype(int) - whole[region.y : region.bottom, region.x : region.right]).max() <= 3
        # No more strips than the region touches are decoded.
        assert len(slide._kept) < len(slide._page.dataoffsets)
        outside = slide.read(Region(800, 600, 250, 250), 250, 250)
        assert (outside[110:, :] == 255).all()
        assert (outside[:, 110:] == 255).all()


def test_a_strip_is_decoded_once_for_all_sub_tiles(tmp_path: Path) -> None:
    """What was read is still there when the file is not."""
    path = tmp_path / "a.tif"
    pixels = noise(500, 400)
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    table = make_sub_tiles([picture([], size=(500, 400)).model_copy(update={"path": path.name})])
    first = [read_sub_tile(tmp_path, table, i) for i in range(len(table))]
    with path.open("r+b") as handle:
        handle.write(b"\0" * path.stat().st_size)
    for i, sub_tile in enumerate(first):
        assert (read_sub_tile(tmp_path, table, i) == sub_tile).all()


def test_a_damaged_strip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(tissue(600, 600)).save(path, compression="tiff_lzw")
    with open_picture(path) as slide:
        assert isinstance(slide, FlatTiff)
        offset = int(slide._page.dataoffsets[2])
    with path.open("r+b") as handle:
        handle.seek(offset)
        handle.write(b"\xff" * 400)
    with open_picture(path) as slide, pytest.raises(UnreadableSlideError, match="damaged strip"):
        slide.read(Region(0, 0, 600, 600), 600, 600)
