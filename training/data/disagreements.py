"""Objects that one label set calls a figure and another, of the same tissue, does not: ambiguous in both."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.datasets.pictures import open_picture
from serving.datasets.readers.boxes import NOMINAL_HALF_UM, around
from serving.datasets.store import Annotation, Box, Dataset, Picture
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from training.data.registration import GreyPicture, Shift, find_shift, read_blurred

Key = tuple[int, str]
"""Number of the store, id of the picture."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two pictures that show the same tissue, and what their labels say of it.

    figures : in what both show, by the first and by the second; agreed : by both
    """

    first: str
    second: str
    correlation: float
    overlap_mm2: float
    figures: tuple[int, int]
    agreed: int

    def __str__(self) -> str:
        return (
            f"{self.first} and {self.second} share {self.overlap_mm2:.3f} mm2 (correlation {self.correlation:.2f}): "
            f"{self.figures[0]} and {self.figures[1]} figures, {self.agreed} in common"
        )


def reconcile(stores: Sequence[Dataset], *, say: Callable[[str], None] = print) -> tuple[list[Dataset], list[Overlap]]:
    """The stores with every contradicted object as an ambiguous area, and where they overlap.

    Pictures of one patient in two stores are registered. In what both show, a figure of one that the other does not call a
    figure, be it marked as a look-alike or not at all, is neither taught nor judged in either. Nothing is done where the
    registration finds no common tissue: another rotation, or less than 0.01 mm2.

    Raises
    ------
    ValueError
        If a picture states no resolution.
    MitoserveError
        If a picture does not open.
    """
    changed: dict[Key, Picture] = {(i, p.id): p for i, store in enumerate(stores) for p in store}
    overlaps = []
    read: dict[Key, GreyPicture] = {}
    for one, other in _pairs(stores):
        pair = [changed[key] for key in (one, other)]
        for key, picture in zip((one, other), pair, strict=True):
            if key not in read:
                with open_picture(Path(stores[key[0]].root) / picture.path) as slide:
                    read[key] = read_blurred(slide, picture)
        shift = find_shift(read[one], read[other])
        if shift is None:
            continue
        # Labels as they were: a figure that a third picture contradicts is contradicted everywhere.
        original = [next(p for p in stores[i] if p.id == name) for i, name in (one, other)]
        overlap, contradicted = _compare(original[0], original[1], shift)
        for key, picture, places in zip((one, other), pair, contradicted, strict=True):
            changed[key] = _with_ambiguous(picture, places)
        overlaps.append(overlap)
        say(str(overlap))
    return [
        store.model_copy(update={"pictures": tuple(changed[i, p.id] for p in store)}) for i, store in enumerate(stores)
    ], overlaps


def _pairs(stores: Sequence[Dataset]) -> Iterator[tuple[Key, Key]]:
    """Labelled pictures of one patient in two stores."""
    of: defaultdict[str, list[Key]] = defaultdict(list)
    for i, store in enumerate(stores):
        for picture in store:
            if picture.labelled:
                of[picture.patient].append((i, picture.id))
    for keys in of.values():
        yield from ((one, other) for one, other in combinations(keys, 2) if one[0] != other[0])


def _compare(
    first: Picture, second: Picture, shift: Shift
) -> tuple[Overlap, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """What both say of what both show, and the places of contradicted figures, px of each picture, shape (N, 2)."""
    a, b = first.centres().astype(np.float64), second.centres().astype(np.float64)
    # So near to an edge, the object that it is to be matched with may lie beyond.
    margin = MATCH_RADIUS_UM
    a = a[_inside(shift.to_second(a), second, margin / shift.mpp[1])]
    b = b[_inside(shift.to_first(b), first, margin / shift.mpp[0])]
    pairs = match_centres(a, shift.to_first(b), MATCH_RADIUS_UM / shift.mpp[0])
    lone_a = np.delete(a, [i for i, _ in pairs], axis=0)
    lone_b = np.delete(b, [j for _, j in pairs], axis=0)
    overlap = Overlap(first.id, second.id, shift.correlation, shift.overlap_mm2, (len(a), len(b)), len(pairs))
    return overlap, (
        np.concatenate([lone_a, shift.to_first(lone_b)]),
        np.concatenate([shift.to_second(lone_a), lone_b]),
    )


def _inside(points: NDArray[np.float64], picture: Picture, margin: float) -> NDArray[np.bool_]:
    low = (points >= margin).all(1)
    return np.asarray(low & (points[:, 0] < picture.width - margin) & (points[:, 1] < picture.height - margin))


def _with_ambiguous(picture: Picture, places: NDArray[np.float64]) -> Picture:
    """The picture without the annotations at these places, shape (N, 2), px, and with ambiguous areas around them."""
    if picture.mpp is None or not len(places):
        return picture
    radius = MATCH_RADIUS_UM / picture.mpp
    kept: list[Annotation] = []
    for label in ("mitotic figure", "look-alike"):
        centres = picture.centres(label).astype(np.float64)
        gone = {i for i, _ in match_centres(centres, places, radius)}
        own = [a for a in picture.annotations if a.label == label]
        kept += [a for i, a in enumerate(own) if i not in gone]
    known = {_round(area) for area in picture.ambiguous_areas}
    areas = [_area(picture, x, y) for x, y in places.tolist()]
    return picture.model_copy(
        update={
            "annotations": tuple(kept),
            "ambiguous_areas": (*picture.ambiguous_areas, *(a for a in areas if _round(a) not in known)),
        }
    )


def _area(picture: Picture, x: float, y: float) -> Box:
    x1, y1, x2, y2 = around(x, y, NOMINAL_HALF_UM / (picture.mpp or 0.25))
    return (max(x1, 0.0), max(y1, 0.0), min(x2, float(picture.width)), min(y2, float(picture.height)))


def _round(area: Box) -> tuple[int, ...]:
    return tuple(round(value) for value in area)
