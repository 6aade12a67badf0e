"""Centred 128 px crops of mitotic figures, each of which is a positive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.datasets.pictures import has_padding
from serving.datasets.store import Picture
from training.data.fields import read_field

CROP_PX = 128
_OFF_CENTRE_PX = 16.0
"""A figure farther than this from the middle does not make a crop."""
_MOST_PX = 250
"""Larger pictures are fields."""


@dataclass(frozen=True, slots=True)
class CropBank:
    """Crops whose centre is a mitotic figure, about 0.25 um/px.

    pixels : uint8, shape (N, 128, 128, 3)
    cases : str, shape (N,), the patient of each
    """

    pixels: NDArray[np.uint8]
    cases: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, chosen: Callable[[str], bool]) -> "CropBank":
        """The crops of the cases that are chosen."""
        kept = np.asarray([chosen(str(case)) for case in self.cases], np.bool_)
        return CropBank(self.pixels[kept], self.cases[kept])


def is_crop(picture: Picture) -> bool:
    """Whether a picture shows one figure, in its middle, and little more than a crop of 128 px."""
    boxes = picture.boxes()
    if len(boxes) != 1 or not CROP_PX <= min(picture.width, picture.height) < _MOST_PX:
        return False
    off = (boxes[0, :2] + boxes[0, 2:]) / 2 - np.asarray((picture.width, picture.height)) / 2
    return bool(np.abs(off).max() <= _OFF_CENTRE_PX)


def read_crops(pictures: Sequence[Picture], root: Path) -> CropBank:
    """The crops among pictures, without those whose border is padded: a net would see by it that they are crops.

    Raises
    ------
    ValueError
        If there is none.
    """
    pixels, cases = [], []
    for picture in filter(is_crop, pictures):
        whole = read_field(picture, root).pixels
        y, x = ((side - CROP_PX) // 2 for side in whole.shape[:2])
        crop = whole[y : y + CROP_PX, x : x + CROP_PX]
        if not has_padding(crop):
            pixels.append(crop)
            cases.append(picture.patient)
    if not pixels:
        raise ValueError(f"no crop of {CROP_PX} px with a figure in its middle is among {len(pictures)} pictures")
    return CropBank(np.stack(pixels), np.asarray(cases))
