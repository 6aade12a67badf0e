"""Precision, recall and F1 of detections against boxed figures: one-to-one matches within 7.5 um."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.evaluation.outcomes import Outcomes, outcomes
from serving.scoring.matching import MATCH_RADIUS_UM


def no_points() -> NDArray[np.float32]:
    """No points, float32, shape (0, 2)."""
    return np.empty((0, 2), np.float32)


@dataclass(frozen=True, slots=True)
class FieldDetections:
    """Detections and truth of one field or slide.

    centres : float32, shape (N, 2), level-0 px; probabilities, scores (screening) : float32, shape (N,)
    truth : float32, shape (M, 2), centres of the labelled figures, level-0 px
    ambiguous : float32, shape (K, 2), of objects that label sets disagree on, level-0 px: they and their detections count
        for nothing
    look_alikes : float32, shape (L, 2), of objects that are marked as no figures, level-0 px
    """

    name: str
    group: str
    mpp: float
    centres: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    scores: NDArray[np.float32]
    truth: NDArray[np.float32]
    ambiguous: NDArray[np.float32] = field(default_factory=no_points)
    look_alikes: NDArray[np.float32] = field(default_factory=no_points)

    def outcomes(self) -> Outcomes:
        """What each detection is."""
        radius = MATCH_RADIUS_UM / self.mpp
        return outcomes(
            self.centres,
            self.probabilities,
            self.truth,
            ambiguous=self.ambiguous,
            look_alikes=self.look_alikes,
            radius=radius,
        )

    def true_positives(self, threshold: float) -> NDArray[np.intp]:
        """Indices of the detections of at least `threshold` that match a figure."""
        return np.flatnonzero(self.outcomes().hits & (self.probabilities >= threshold))


@dataclass(frozen=True, slots=True)
class Rates:
    """Counts over a set of fields, and what follows from them; a rate without cases is 0."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float:
        """Share of detections that are figures."""
        return self.true_positives / max(self.true_positives + self.false_positives, 1)

    @property
    def recall(self) -> float:
        """Share of figures that were detected."""
        return self.true_positives / max(self.true_positives + self.false_negatives, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.true_positives / max(2 * self.true_positives + self.false_positives + self.false_negatives, 1)


def rates(found: Sequence[FieldDetections], threshold: float) -> Rates:
    """Counts over all fields with detections of at least `threshold`."""
    tp = fp = fn = 0
    for f in found:
        of, kept = f.outcomes(), f.probabilities >= threshold
        matched, detected = int((of.hits & kept).sum()), int((kept & ~of.ambiguous).sum())
        tp, fp, fn = tp + matched, fp + detected - matched, fn + len(f.truth) - matched
    return Rates(tp, fp, fn)


def bootstrap_f1(
    found: Sequence[FieldDetections], threshold: float, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of F1, fields drawn with replacement; fields of one slide are alike, so it is optimistic."""
    per_field = [rates([f], threshold) for f in found]
    counts = np.asarray([(r.true_positives, r.false_positives, r.false_negatives) for r in per_field])
    picks = np.random.default_rng(seed).integers(0, len(found), (draws, len(found)))
    tp, fp, fn = counts[picks].sum(1).T
    low, high = np.percentile(2 * tp / np.maximum(2 * tp + fp + fn, 1), [2.5, 97.5])
    return float(low), float(high)
