"""Crops among the pictures of stores."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.samples import noise
from tests.unit.serving.datasets.pictures import picture
from training.data.crops import CROP_PX, is_crop, read_crops

MIDDLE = (48.0, 48.0, 80.0, 80.0)


def test_crops_are_small_pictures_with_a_figure_in_the_middle() -> None:
    size = (CROP_PX, CROP_PX)
    assert is_crop(picture([MIDDLE], size=size))
    assert not is_crop(picture([], size=size))
    assert not is_crop(picture([MIDDLE, (90, 90, 99, 99)], size=size))
    assert not is_crop(picture([(4, 4, 36, 36)], size=size))
    assert not is_crop(picture([(484, 484, 516, 516)]))
    assert not is_crop(picture([(24, 24, 56, 56)], size=(80, 80)))


def test_crops_keep_their_patient_and_padded_ones_are_left_out(tmp_path: Path) -> None:
    pixels = noise(CROP_PX, CROP_PX)
    black = pixels.copy()
    black[:, -3:] = 0
    pictures = []
    for name, shown in (("a", pixels), ("b", black)):
        Image.fromarray(shown).save(tmp_path / f"{name}.png")
        pictures.append(picture([MIDDLE], name=name, patient=f"of {name}", size=(CROP_PX, CROP_PX)))
    bank = read_crops([*pictures, picture([])], tmp_path)
    assert bank.cases.tolist() == ["of a"]
    np.testing.assert_array_equal(bank.pixels[0], pixels)
    with pytest.raises(ValueError, match="no crop of 128 px"):
        read_crops([picture([])], tmp_path)
