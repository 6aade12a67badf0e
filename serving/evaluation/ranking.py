"""Detections of all fields in order of probability, each with whether it finds one more figure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.evaluation.metrics import FieldDetections


@dataclass(frozen=True, slots=True)
class Ranking:
    """Detections that count, the most probable first; those of ambiguous objects are left out.

    probabilities : float, shape (N,), descending
    hits : bool, shape (N,), whether one more figure is matched with this detection than without it
    groups : str, shape (N,), the group of each detection's field
    figures_of : labelled figures in all fields of each group, found or not
    """

    probabilities: NDArray[np.floating]
    hits: NDArray[np.bool_]
    groups: NDArray[np.str_]
    figures_of: dict[str, int]

    @property
    def figures(self) -> int:
        """Labelled figures in all fields, found or not."""
        return sum(self.figures_of.values())

    def ends(self) -> NDArray[np.intp]:
        """Index of the last detection of each distinct probability: no threshold separates equals."""
        if not len(self.probabilities):
            return np.empty(0, np.intp)
        return np.append(np.flatnonzero(np.diff(self.probabilities)), len(self.probabilities) - 1)

    def select_group(self, group: str) -> "Ranking":
        """One group's part."""
        own = self.groups == group
        return Ranking(self.probabilities[own], self.hits[own], self.groups[own], {group: self.figures_of[group]})


def rank(found: Sequence[FieldDetections]) -> Ranking:
    """The ranking of all detections of all fields.

    The hits among the first k detections are as many as a one-to-one matching of these k alone within 7.5 um can have
    (`serving.evaluation.metrics.rates` at that threshold), for each k. So both hits and false positives only grow with k.
    """
    figures: Counter[str] = Counter()
    probabilities, hits, groups = [np.empty(0, np.float32)], [np.empty(0, np.bool_)], [np.empty(0, np.str_)]
    for f in found:
        of = f.outcomes()
        counted = ~of.ambiguous
        probabilities.append(f.probabilities[counted])
        hits.append(of.hits[counted])
        groups.append(np.full(int(counted.sum()), f.group))
        figures[f.group] += len(f.truth)
    return rank_scores(np.concatenate(probabilities), np.concatenate(hits), np.concatenate(groups), dict(figures))


def rank_scores(
    probabilities: NDArray[np.floating], hits: NDArray[np.bool_], groups: NDArray[np.str_], figures_of: dict[str, int]
) -> Ranking:
    """The ranking of detections that come in any order; arguments as the fields of `Ranking`."""
    order = np.argsort(-probabilities, kind="stable")
    return Ranking(probabilities[order], hits[order], groups[order], figures_of)


def average_precision(ranking: Ranking) -> float:
    """The sum over thresholds of the step in recall times precision, not interpolated, as scikit-learn defines it.

    Figures that nothing found count as missed. NaN without figures, 0 without detections.
    """
    if not ranking.figures:
        return float("nan")
    ends = ranking.ends()
    hits = ranking.hits.cumsum()[ends]
    steps = np.diff(hits, prepend=0) / ranking.figures
    return float((steps * hits / (ends + 1)).sum())


def average_precision_by_distance(found: Sequence[FieldDetections]) -> float:
    """Average precision with detections and figures matched one-to-one within 7.5 um; see `average_precision`."""
    return average_precision(rank(found))
