"""True and false positive rates of sub-tiles, the paper's measure of every model (Ji et al., Tables 4 to 9)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SubTileRates:
    """Counts of sub-tiles at one threshold; a rate without cases is NaN, for nothing was measured."""

    threshold: float
    true_positives: int
    false_positives: int
    positives: int
    negatives: int

    @property
    def tpr(self) -> float:
        """Share of the positive sub-tiles that score at or above the threshold."""
        return self.true_positives / self.positives if self.positives else float("nan")

    @property
    def fpr(self) -> float:
        """Share of the negative sub-tiles that score at or above the threshold."""
        return self.false_positives / self.negatives if self.negatives else float("nan")


def sub_tile_rates(
    scores: NDArray[np.float32], positives: NDArray[np.bool_], thresholds: Sequence[float]
) -> list[SubTileRates]:
    """Rates at each threshold, in the order given.

    scores : float32, shape (N,), of one sub-tile each
    positives : bool, shape (N,), which of them are positive under the rule of the evaluation

    Raises
    ------
    ValueError
        If scores and positives differ in shape, positives are not bool or a score is not a number.
    """
    check_scores(scores, positives)
    rows = []
    for threshold in thresholds:
        # The threshold as the scores' own type: 0.95 in double precision is above 0.95 in single precision.
        hit = scores >= scores.dtype.type(threshold)
        rows.append(
            SubTileRates(
                threshold=threshold,
                true_positives=int((hit & positives).sum()),
                false_positives=int((hit & ~positives).sum()),
                positives=int(positives.sum()),
                negatives=int((~positives).sum()),
            )
        )
    return rows


def coarsen(probabilities: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """A detector's score of each sub-tile: its highest probability, 0 without a box (paper, "Evaluation").

    At any threshold above 0, a sub-tile is then positive if and only if at least one of its boxes is.

    probabilities : of the boxes of each sub-tile, float32, shape (K,) -> float32, shape (N,)
    """
    return np.asarray([max(of_boxes, default=0.0) for of_boxes in probabilities], np.float32)


def check_scores(scores: NDArray[np.float32], positives: NDArray[np.bool_]) -> None:
    """Check that there is one score for each label.

    Raises
    ------
    ValueError
        If scores and positives differ in shape, positives are not bool or a score is not a number.
    """
    if scores.shape != positives.shape or scores.ndim != 1:
        raise ValueError(f"scores {scores.shape} and positives {positives.shape} must be flat and of one length")
    if positives.dtype != np.bool_:
        raise ValueError(f"positives are {positives.dtype}, not bool")
    if np.isnan(scores).any():
        raise ValueError("a score is not a number: leave out sub-tiles that were not scored")
