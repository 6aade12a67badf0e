"""What a judgement is given: pictures with their labels and with the detections of weights that never saw them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serving.evaluation.metrics import FieldDetections, no_points
from serving.evaluation.ranking import Ranking, rank_scores


@dataclass(frozen=True)
class JudgedPicture:
    """One picture; everything that numpy takes for an array of the shape is taken.

    source : the data set, whose figures are stated apart. group : the patient or biopsy, the unit of a split
    mpp : um/px. area_mm2 : of what was looked at
    figures, ambiguous, look_alikes : shape (N, 2), centres (x, y), level-0 px
    detections : shape (D, 2), centres (x, y), level-0 px, of weights that saw nothing of the group
    scores : shape (D,), what the models say of each, 0..1
    fold : which weights those were; by default the group has its own. slide : by default the group
    sub_tiles, passed : how many there are, and how many were passed on to Det; 0 where nothing states it

    Raises
    ------
    ValueError
        If an array has another shape, a number is not finite, or a score, resolution or area is out of range.
    """

    name: str
    source: str
    group: str
    area_mm2: float
    mpp: float
    figures: ArrayLike
    detections: ArrayLike
    scores: ArrayLike
    ambiguous: ArrayLike = field(default_factory=no_points)
    look_alikes: ArrayLike = field(default_factory=no_points)
    fold: str = ""
    slide: str = ""
    sub_tiles: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        for name in ("figures", "detections", "ambiguous", "look_alikes"):
            object.__setattr__(self, name, self._points(name))
        scores = np.asarray(self.scores, np.float64)
        if scores.shape != (len(np.asarray(self.detections)),):
            raise ValueError(f"{self.name}: scores {scores.shape}, one for each of the detections is needed")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(f"{self.name}: a score is not in 0..1")
        object.__setattr__(self, "scores", scores)
        for name in ("area_mm2", "mpp"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{self.name}: {name} is {getattr(self, name)}, must be above 0")
        object.__setattr__(self, "fold", self.fold or self.group)
        object.__setattr__(self, "slide", self.slide or self.group)

    def _points(self, name: str) -> NDArray[np.float64]:
        given = np.asarray(getattr(self, name), np.float64)
        points = given.reshape(-1, 2) if not given.size else given
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise ValueError(f"{self.name}: {name} must be finite centres of shape (N, 2), not {given.shape}")
        return points

    def to_field_detections(self) -> FieldDetections:
        """The picture as rates and curves take it."""
        arrays: dict[str, Any] = {
            "centres": self.detections,
            "probabilities": self.scores,
            "scores": self.scores,
            "truth": self.figures,
            "ambiguous": self.ambiguous,
            "look_alikes": self.look_alikes,
        }
        return FieldDetections(self.name, self.group, self.mpp, **arrays)


@dataclass(frozen=True)
class PooledDetections:
    """The detections of many pictures that count, flat, and what lies in the pictures.

    scores : float64, shape (N,). hits, look_alikes : bool, shape (N,), what each is. picture : intp, shape (N,)
    Those of ambiguous objects are left out.
    """

    pictures: tuple[JudgedPicture, ...]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    look_alikes: NDArray[np.bool_]
    picture: NDArray[np.intp]

    @classmethod
    def from_pictures(cls, pictures: Sequence[JudgedPicture]) -> "PooledDetections":
        """Match the detections of each picture.

        Raises
        ------
        ValueError
            If there are no pictures, two of a source have one name, or a group is in two folds.
        """
        check_folds(pictures)
        parts = [(i, p.to_field_detections(), p.to_field_detections().outcomes()) for i, p in enumerate(pictures)]
        kept = [~of.ambiguous for _, _, of in parts]
        return cls(
            tuple(pictures),
            np.concatenate([f.probabilities[k] for (_, f, _), k in zip(parts, kept, strict=True)]),
            np.concatenate([of.hits[k] for (_, _, of), k in zip(parts, kept, strict=True)]),
            np.concatenate([of.look_alikes[k] for (_, _, of), k in zip(parts, kept, strict=True)]),
            np.concatenate([np.full(int(k.sum()), i) for (i, _, _), k in zip(parts, kept, strict=True)]),
        )

    @cached_property
    def groups(self) -> NDArray[np.str_]:
        """The group of each detection, shape (N,)."""
        return np.asarray([p.group for p in self.pictures])[self.picture]

    def only(self, chosen: NDArray[np.bool_]) -> "PooledDetections":
        """Some of the pictures with their detections. chosen : bool, one for each picture."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.picture]
        return PooledDetections(
            tuple(p for p, c in zip(self.pictures, chosen, strict=True) if c),
            self.scores[kept],
            self.hits[kept],
            self.look_alikes[kept],
            number[self.picture[kept]],
        )

    def ranking(self, probabilities: NDArray[np.float64]) -> Ranking:
        """The detections in the order of probabilities that a calibration gave them, shape (N,)."""
        figures: dict[str, int] = {}
        for p in self.pictures:
            figures[p.group] = figures.get(p.group, 0) + figures_in(p)
        return rank_scores(probabilities, self.hits, self.groups, figures)


def figures_in(picture: JudgedPicture) -> int:
    """How many figures a picture shows."""
    return len(np.asarray(picture.figures))


def look_alikes_in(picture: JudgedPicture) -> int:
    """How many marked look-alikes a picture shows."""
    return len(np.asarray(picture.look_alikes))


def check_folds(pictures: Sequence[JudgedPicture]) -> None:
    """Check that nothing is judged by weights that saw a part of it.

    Raises
    ------
    ValueError
        If there are no pictures, two of a source have one name, or a group is in two folds.
    """
    if not pictures:
        raise ValueError("no pictures to judge")
    fold_of: dict[str, str] = {}
    names: set[tuple[str, str]] = set()
    for p in pictures:
        if fold_of.setdefault(p.group, p.fold) != p.fold:
            raise ValueError(f"group {p.group} is in the folds {fold_of[p.group]} and {p.fold}: a group is on one side")
        if (p.source, p.name) in names:
            raise ValueError(f"picture {p.name} of {p.source} comes twice")
        names.add((p.source, p.name))


def folds(pictures: Sequence[JudgedPicture]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each fold and which pictures are in it, in order of name."""
    of = np.asarray([p.fold for p in pictures])
    for fold in sorted(set(of.tolist())):
        yield fold, of == fold
