"""Small labelled pictures on disk for the study's tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from serving.datasets.store import Annotation, Box, Picture

RED = (200, 30, 30)


def picture(
    boxes: Sequence[Box],
    *,
    agreement: Sequence[float] | None = None,
    patient: str = "P",
    name: str = "a",
    size: tuple[int, int] = (1000, 1000),
    unlabelled: tuple[Box, ...] = (),
    ambiguous: tuple[Box, ...] = (),
    labelled: bool = True,
) -> Picture:
    """A picture with boxes of mitotic figures, agreement 1 unless stated."""
    given = agreement or [1.0] * len(boxes)
    return Picture(
        id=name,
        path=f"{name}.png",
        width=size[0],
        height=size[1],
        mpp=0.25,
        slide=name,
        patient=patient,
        labelled=labelled,
        annotations=tuple(
            Annotation(box=b, label="mitotic figure", agreement=a) for b, a in zip(boxes, given, strict=True)
        ),
        unlabelled_areas=unlabelled,
        ambiguous_areas=ambiguous,
    )


def draw(folder: Path, of: Picture) -> Picture:
    """The picture's file: grey, with each box filled red."""
    pixels = np.full((of.height, of.width, 3), 200, np.uint8)
    for x1, y1, x2, y2 in of.boxes().astype(int):
        pixels[y1:y2, x1:x2] = RED
    Image.fromarray(pixels).save(folder / of.path)
    return of
