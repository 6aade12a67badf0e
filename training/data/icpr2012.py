"""Fields of the MITOS contest of ICPR 2012: real 40x breast tissue with every mitotic figure boxed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SLIDES = ("A00", "A02", "A03")


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


def read_fields(root: Path) -> list[Field]:
    """The nine clean fields, fully labelled."""
    index = json.loads((root / "icpr2012/fields.json").read_text())
    return [
        Field(
            name,
            name.split("_")[0],
            index["mpp"],
            _pixels(root / "icpr2012/fields" / f"{name}.jpg"),
            _boxes(entry["boxes_xyxy"]),
            _boxes([]),
        )
        for name, entry in sorted(index["fields"].items())
    ]


def read_painted_fields(root: Path) -> list[Field]:
    """The 21 fields whose figures are painted over: sources of negatives, away from the paint."""
    index = json.loads((root / "icpr2012/painted_fields.json").read_text())
    return [
        Field(
            name,
            name.split("_")[0],
            index["mpp"],
            _pixels(root / "icpr2012/painted_fields" / f"{name}.jpg"),
            _boxes([]),
            _boxes(entry["painted_xyxy"] + entry["mitoses_xyxy"]),
        )
        for name, entry in sorted(index["fields"].items())
    ]


def _pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def _boxes(rows: list[list[float]]) -> NDArray[np.float32]:
    return np.asarray(rows, np.float32).reshape(-1, 4)
