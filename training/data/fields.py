"""Labelled pictures in memory: fields that windows are cut from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.datasets.pictures import open_picture
from serving.datasets.store import Picture

MPP = 0.25
"""um/px of a picture that states none."""
MOST_PX = 2**26
"""A field is decoded whole; larger pictures are cut into tiles first."""


@dataclass(frozen=True, slots=True)
class Field:
    """A labelled picture of tissue.

    pixels : uint8, shape (height, width, 3)
    boxes : float32, shape (N, 4), xyxy, px, every mitotic figure in the field
    forbidden : float32, shape (M, 4), xyxy, px, areas that no training window may touch
    """

    name: str
    slide: str
    mpp: float
    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    forbidden: NDArray[np.float32]


def read_fields(pictures: Sequence[Picture], root: Path, *, least_px: int) -> list[Field]:
    """The labelled pictures of which both sides are at least `least_px`.

    Raises
    ------
    ValueError
        If one is larger than `MOST_PX`.
    """
    return [read_field(p, root) for p in pictures if p.labelled and min(p.width, p.height) >= least_px]


def read_fields_with_figures(pictures: Sequence[Picture], root: Path, *, least_px: int) -> list[Field]:
    """The same; raises `ValueError` too if none of them shows a figure."""
    fields = read_fields(pictures, root, least_px=least_px)
    if not any(len(field.boxes) for field in fields):
        raise ValueError(f"the recipe asks for fields, and no picture of {least_px} px shows a figure")
    return fields


def read_field(picture: Picture, root: Path) -> Field:
    """A picture in memory; what nobody looked at or agreed on is forbidden.

    Raises
    ------
    ValueError
        If it is larger than `MOST_PX`.
    """
    if picture.width * picture.height > MOST_PX:
        raise ValueError(
            f"{picture.path} has {picture.width} x {picture.height} px, too many to be held whole; cut it into tiles"
        )
    with open_picture(root / picture.path) as slide:
        pixels = slide.read(Region(0, 0, slide.width, slide.height), slide.width, slide.height)
    shunned = np.asarray([*picture.unlabelled_areas, *picture.ambiguous_areas], np.float32).reshape(-1, 4)
    return Field(picture.id, picture.slide, picture.mpp or MPP, pixels, picture.boxes(), shunned)
