from pathlib import Path

import pytest
from PIL import Image

from tests.samples import noise
from tests.unit.training.data.pictures import picture
from training.data.pixels import read_sub_tile
from training.data.sub_tiles import sub_tiles_of


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_sub_tiles_are_read_from_pictures_as_contests_publish_them(tmp_path: Path, suffix: str) -> None:
    pixels = noise(500, 400)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    table = sub_tiles_of([picture([], size=(500, 400)).model_copy(update={"path": f"a{suffix}"})])
    index = int((table.origins == (125, 0)).all(1).argmax())
    assert (read_sub_tile(tmp_path, table, index) == pixels[:250, 125:375]).all()
