"""Detections as equal-length arrays; indexing applies to all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes with what the models say of them, all in the same order.

    boxes : float32, shape (N, 4), xyxy, level-0 px (sub-tile px where a detector returns them)
    probabilities : float32, shape (N,), Det's probability of a mitotic figure, 0 to 1
    scores : float32, shape (N,), Reg-NS score of the sub-tile that shows the box best
    atypical : float32, shape (N,), probability that the figure is atypical, NaN of a box that no model was asked about; None where
        there is no such model, or its turn is still to come
    by_detector : float32, shape (N, M), of an ensemble of M detectors the probability that each gives, NaN where it found nothing;
        None of one detector
    """

    boxes: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    scores: NDArray[np.float32]
    atypical: NDArray[np.float32] | None = None
    by_detector: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.probabilities.shape != (n,) or self.scores.shape != (n,):
            raise ValueError("boxes (N, 4), probabilities (N,) and scores (N,) differ in length or shape")
        if self.atypical is not None and self.atypical.shape != (n,):
            raise ValueError("there is not one atypical probability a box")
        if self.by_detector is not None and (self.by_detector.ndim != 2 or len(self.by_detector) != n):
            raise ValueError("there is not one row of detectors a box")

    @classmethod
    def empty(cls) -> "Detections":
        """No detections."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))

    @classmethod
    def concatenate(cls, parts: Iterable["Detections"]) -> "Detections":
        """All detections of `parts` in their order, as they are before an atypia model is asked."""
        parts = [cls.empty(), *parts]
        return cls(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.probabilities for p in parts]),
            np.concatenate([p.scores for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Detections":
        atypical = None if self.atypical is None else self.atypical[index]
        said = None if self.by_detector is None else self.by_detector[index]
        return Detections(self.boxes[index], self.probabilities[index], self.scores[index], atypical, said)

    @property
    def centres(self) -> NDArray[np.float32]:
        """Box centres, float32, shape (N, 2), (x, y), in the boxes' frame."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / np.float32(2)
