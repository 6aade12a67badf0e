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
    """

    boxes: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.probabilities.shape != (n,) or self.scores.shape != (n,):
            raise ValueError("boxes (N, 4), probabilities (N,) and scores (N,) differ in length or shape")

    @classmethod
    def empty(cls) -> "Detections":
        """No detections."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))

    @classmethod
    def concatenate(cls, parts: Iterable["Detections"]) -> "Detections":
        """All detections of `parts` in their order."""
        parts = [cls.empty(), *parts]
        return cls(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.probabilities for p in parts]),
            np.concatenate([p.scores for p in parts]),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Detections":
        return Detections(self.boxes[index], self.probabilities[index], self.scores[index])

    @property
    def centres(self) -> NDArray[np.float32]:
        """Box centres, float32, shape (N, 2), (x, y), in the boxes' frame."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / np.float32(2)
