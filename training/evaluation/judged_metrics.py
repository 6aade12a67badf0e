"""Metrics of a judgement: each is one function, registered by name, and has a column in every table and a line in every card.

A new metric is one decorated function:

    @metric("missed_per_mm2", "missed per mm²", digits=2)
    def missed_per_mm2(judged: JudgedGroups, times: Times) -> float:
        return ratio(judged.total(times, lambda r: r.false_negatives), judged.total(times, lambda r: r.area_mm2))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.evaluation.bootstrap import bootstrap_interval
from serving.plugins import Registry
from training.evaluation.judgement import GroupRow
from training.evaluation.summary import Measured

Times = NDArray[np.intp]
"""How often each group counts, shape (G,): once as they are, more or less in a draw with replacement."""


@dataclass(frozen=True, slots=True)
class JudgedGroups:
    """Groups at the thresholds of their folds, and all their detections together, those of highest probability first.

    rows : G groups. probabilities : float64, shape (N,), falling; hits : bool, shape (N,); group : intp, shape (N,), index of
    the row of each
    """

    rows: Sequence[GroupRow]
    probabilities: NDArray[np.float64]
    hits: NDArray[np.bool_]
    group: NDArray[np.intp]

    def total(self, times: Times, count: Callable[[GroupRow], float]) -> float:
        """The sum of a count over the groups."""
        return float(sum(n * count(row) for n, row in zip(times.tolist(), self.rows, strict=True)))


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a source. title : of its column; digits : shown. of : NaN where there are no cases to measure it on."""

    title: str
    digits: int
    of: Callable[[JudgedGroups, Times], float]

    def measured(self, judged: JudgedGroups, *, draws: int, seed: int) -> Measured:
        """The value with its interval, groups drawn with replacement."""
        groups = len(judged.rows)

        def statistic(chosen: Sequence[int]) -> float:
            return self.of(judged, np.bincount(np.asarray(chosen, np.intp), minlength=groups))

        interval = bootstrap_interval(range(groups), statistic, unit="groups", draws=draws, seed=seed)
        return Measured.model_validate(interval, from_attributes=True)


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str, title: str, *, digits: int = 3
) -> Callable[[Callable[[JudgedGroups, Times], float]], Callable[[JudgedGroups, Times], float]]:
    """Decorator that registers a function as a metric."""

    def add(of: Callable[[JudgedGroups, Times], float]) -> Callable[[JudgedGroups, Times], float]:
        METRICS.add(name, Metric(title, digits, of))
        return of

    return add


def ratio(part: float, whole: float) -> float:
    """NaN where there is nothing to divide by."""
    return part / whole if whole else float("nan")


@metric("f1", "F1")
def f1(judged: JudgedGroups, times: Times) -> float:
    """Harmonic mean of precision and recall."""
    hits = judged.total(times, lambda r: r.true_positives)
    return ratio(2 * hits, hits + judged.total(times, lambda r: r.false_positives + r.figures))


@metric("precision", "precision")
def precision(judged: JudgedGroups, times: Times) -> float:
    """Share of what counts that is a figure."""
    hits = judged.total(times, lambda r: r.true_positives)
    return ratio(hits, hits + judged.total(times, lambda r: r.false_positives))


@metric("recall", "recall")
def recall(judged: JudgedGroups, times: Times) -> float:
    """Share of the figures that counts."""
    return ratio(judged.total(times, lambda r: r.true_positives), judged.total(times, lambda r: r.figures))


@metric("average_precision", "average precision")
def average_precision(judged: JudgedGroups, times: Times) -> float:
    """The step in recall times precision (scikit-learn's), over all detections ranked together."""
    figures = judged.total(times, lambda r: r.figures)
    if not figures:
        return float("nan")
    if not len(judged.probabilities):
        return 0.0
    weights = times[judged.group]
    ends = np.append(np.flatnonzero(np.diff(judged.probabilities)), len(judged.probabilities) - 1)
    taken, hits = weights.cumsum()[ends], (weights * judged.hits).cumsum()[ends]
    steps = np.diff(hits, prepend=0) / figures
    return float((steps * hits / np.maximum(taken, 1)).sum())


@metric("false_per_mm2", "false per mm²", digits=2)
def false_per_mm2(judged: JudgedGroups, times: Times) -> float:
    """False figures per mm2 of what was looked at."""
    return ratio(judged.total(times, lambda r: r.false_positives), judged.total(times, lambda r: r.area_mm2))


@metric("look_alikes_taken", "look-alikes taken")
def look_alikes_taken(judged: JudgedGroups, times: Times) -> float:
    """Share of the marked look-alikes that count as figures."""
    return ratio(judged.total(times, lambda r: r.look_alikes_taken), judged.total(times, lambda r: r.look_alikes))
