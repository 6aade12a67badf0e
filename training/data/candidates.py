"""Places in labelled pictures that a verifier learns from: figures, look-alikes, and nuclei that are neither."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.datasets.csv_rows import table_rows
from serving.datasets.pictures import has_padding
from serving.datasets.store import Picture
from serving.scoring.matching import MATCH_RADIUS_UM
from training.data.combined_stores import find_store_name, full_id
from training.data.fields import Field, read_field

Label = Literal["figure", "look-alike", "other", "normal figure", "atypical figure"]
LABELS: tuple[Label, ...] = ("figure", "look-alike", "other", "normal figure", "atypical figure")
"""A figure is of no stated kind, or its kind is what is learnt (`training.data.figure_kinds`)."""
_BLUR_PX = 2.5
_APART_PX = 25
"""Nuclei are the darkest spots so far around."""
_CROP_PX = 200
"""In pictures whose shorter side is less, negatives are dark spots beside the figure."""
_NEAR_PX, _FAR_PX = 24.0, 35.0
"""So far from a crop's figure: it does not show in the middle, and the middle of the window is tissue."""
_BESIDE = 4


@dataclass(frozen=True, slots=True)
class LabelledPlaces:
    """Places of pictures in memory, a struct of arrays.

    fields : the pictures, whose frame the places are in
    field : int32, (N,), index into `fields`; centre : float32, (N, 2), (x, y), px
    label : int8, (N,), index into `LABELS`; soft : float32, (N,), share of the raters who call it a figure
    store, slide : str, (N,)
    crop : bool, (N,), whether the picture is a crop of one figure, see `is_small`
    """

    fields: tuple[Field, ...]
    field: NDArray[np.int32]
    centre: NDArray[np.float32]
    label: NDArray[np.int8]
    soft: NDArray[np.float32]
    store: NDArray[np.str_]
    slide: NDArray[np.str_]
    crop: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label)

    def cut(self, chosen: NDArray[np.intp], side: int) -> NDArray[np.uint8]:
        """Squares of `side` px around places, mirrored where they leave the picture, uint8, (M, side, side, 3)."""
        return np.stack([_square(self.fields[self.field[i]].pixels, self.centre[i], side) for i in chosen])


def read_candidates(
    pictures: Sequence[Picture], root: Path, *, per_picture: int, points: Path | None = None
) -> LabelledPlaces:
    """The places of labelled pictures.

    per_picture : nuclei of each field at most, darkest first
    points : CSV with `picture,x,y` (the store's name, a slash and the picture's id; px) of places to take in place of the
        darkest nuclei; pictures that it does not name have none

    Raises
    ------
    ValueError
        If there are no places, or the file of points names none of the pictures.
    """
    given = None if points is None else _read_points(points)
    if given is not None and not given.keys() & {full_id(p) for p in pictures}:
        raise ValueError(
            f"{points} names none of the {len(pictures)} pictures; it names {next(iter(given), 'nothing')}"
        )
    fields: list[Field] = []
    rows: list[tuple[int, NDArray[np.float32], int, float, str, str, bool]] = []
    for picture in pictures:
        if not picture.labelled:
            continue
        field = read_field(picture, root)
        if has_padding(field.pixels):
            continue
        of_picture = None if given is None else given.get(full_id(picture), np.empty((0, 2), np.float32))
        for label, centre, soft in _places(picture, field, per_picture, of_picture):
            rows.append((len(fields), centre, label, soft, find_store_name(picture), picture.slide, is_small(picture)))
        fields.append(field)
    if not rows:
        raise ValueError(f"no place to learn from in {len(pictures)} pictures")
    return LabelledPlaces(
        tuple(fields),
        np.asarray([r[0] for r in rows], np.int32),
        np.stack([r[1] for r in rows]).astype(np.float32),
        np.asarray([r[2] for r in rows], np.int8),
        np.asarray([r[3] for r in rows], np.float32),
        np.asarray([r[4] for r in rows]),
        np.asarray([r[5] for r in rows]),
        np.asarray([r[6] for r in rows], np.bool_),
    )


def is_small(picture: Picture) -> bool:
    """Whether a picture is taken for a crop of one figure, whose negatives are dark spots beside it."""
    return min(picture.width, picture.height) < _CROP_PX


def find_nuclei(pixels: NDArray[np.uint8], most: int) -> NDArray[np.float32]:
    """Centres (x, y) of the darkest spots of a picture, darkest first, float32, (N, 2), px."""
    smooth = ndimage.gaussian_filter(_darkness(pixels), _BLUR_PX)
    rows, columns = np.nonzero(smooth == ndimage.maximum_filter(smooth, size=_APART_PX))
    order = np.argsort(-smooth[rows, columns], kind="stable")[:most]
    return np.stack([columns[order], rows[order]], 1).astype(np.float32)


def _places(
    picture: Picture, field: Field, most: int, given: NDArray[np.float32] | None
) -> list[tuple[int, NDArray[np.float32], float]]:
    """Label, centre and share of raters of each place of a picture."""
    found, marked = [], []
    for annotation in picture.annotations:
        x1, y1, x2, y2 = annotation.box
        centre = np.asarray([(x1 + x2) / 2, (y1 + y2) / 2], np.float32)
        figure = annotation.label == "mitotic figure"
        marked.append(centre)
        found.append((0 if figure else 1, centre, annotation.agreement))
    known = np.asarray(marked, np.float32).reshape(-1, 2)
    crop = is_small(picture)
    if crop or given is None:
        nuclei = (_beside(field) if crop else find_nuclei(field.pixels, most)) + np.float32(
            0.5
        )  # a spot is a px's middle
    else:
        nuclei = given
    apart = np.hypot(*(nuclei[:, None] - known[None]).transpose(2, 0, 1)).min(1, initial=math.inf)
    radius = _NEAR_PX - 1 if crop else MATCH_RADIUS_UM / field.mpp
    kept = nuclei[(apart >= radius) & ~_forbidden(nuclei, field)]
    return found + [(2, centre, 0.0) for centre in kept]


def _beside(field: Field) -> NDArray[np.float32]:
    """The darkest spots of a crop at some distance from its middle, float32, (N, 2), px."""
    smooth = ndimage.gaussian_filter(_darkness(field.pixels), _BLUR_PX)
    rows, columns = np.nonzero(smooth == ndimage.maximum_filter(smooth, size=13))
    height, width = smooth.shape
    offsets = np.stack([columns - (width - 1) / 2, rows - (height - 1) / 2], 1)
    fit = (np.hypot(*offsets.T) >= _NEAR_PX) & (np.abs(offsets).max(1) <= _FAR_PX)
    darkest = np.argsort(-smooth[rows[fit], columns[fit]], kind="stable")[:_BESIDE]
    return np.stack([columns[fit][darkest], rows[fit][darkest]], 1).astype(np.float32)


def _forbidden(places: NDArray[np.float32], field: Field) -> NDArray[np.bool_]:
    """Which places lie within the matching radius of a forbidden area, bool, (N,)."""
    margin = MATCH_RADIUS_UM / field.mpp
    low = places[:, None] + margin > field.forbidden[None, :, :2]
    high = places[:, None] - margin < field.forbidden[None, :, 2:]
    return np.asarray(np.any(np.all(low & high, axis=2), axis=1), np.bool_)


def _darkness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    density: NDArray[np.float32] = -np.log(np.maximum(pixels, 1).astype(np.float32) / 255).mean(-1)
    return density


def _square(pixels: NDArray[np.uint8], centre: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    x, y = (round(float(v) - side / 2) for v in centre)
    inside = pixels[max(y, 0) : min(y + side, height), max(x, 0) : min(x + side, width)]
    if inside.shape[:2] == (side, side):
        return inside
    before = (max(-y, 0), max(-x, 0))
    pad = [(b, side - b - length) for b, length in zip(before, inside.shape[:2], strict=True)]
    return np.pad(inside, [*pad, (0, 0)], mode="symmetric")


def _read_points(path: Path) -> dict[str, NDArray[np.float32]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for row in table_rows(path, ["picture", "x", "y"]):
        found.setdefault(row.text("picture"), []).append((row.number("x"), row.number("y")))
    return {name: np.asarray(places, np.float32) for name, places in found.items()}
