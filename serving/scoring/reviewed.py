"""Figures after review: the model's at a threshold, changed by what reviewers decided."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import JudgedObject, ReviewRule
from serving.core.report import DetectionResult, Report
from serving.scoring.atypia import Marks, mark_figures


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """What one reviewer, or most of several, decided of an analysis.

    objects : each object on which there is a decision
    reviewers, rule, last_entry : as in `ReviewedCounts`
    """

    objects: tuple[JudgedObject, ...]
    reviewers: tuple[str, ...]
    majority: bool
    last_entry: int
    last_at: float | None = None
    """Seconds since 1970; None where nothing was heard."""
    consensus: bool = False
    """Whether two readers decided together; then `majority` is False."""

    @property
    def rule(self) -> ReviewRule:
        """By what rule objects were decided."""
        if self.consensus:
            return "consensus"
        return "majority" if self.majority else "one reviewer"


@dataclass(frozen=True, slots=True)
class ReviewedFigures:
    """Places by what they are after review, (x, y), level-0 px.

    centres : float64, shape (N, 2), figures that count
    confirmed : float64, shape (K, 2), of them those that somebody called a figure
    judged : float64, shape (J, 2), of the model's figures those that have a verdict
    open_centres, open_probabilities : float64, shapes (M, 2) and (M,), everything of a probability that has no verdict
    accepted, rejected, added, unjudged : as in `ReviewedCounts`
    decision : where this comes from
    marks : of `centres`, which are atypical; None without an atypia model
    """

    centres: NDArray[np.float64]
    confirmed: NDArray[np.float64]
    judged: NDArray[np.float64]
    open_centres: NDArray[np.float64]
    open_probabilities: NDArray[np.float64]
    accepted: int
    rejected: int
    added: int
    unjudged: int
    decision: ReviewDecision
    marks: Marks | None = None


def find_centres(boxes: Sequence[DetectionResult | JudgedObject]) -> NDArray[np.float64]:
    """Centres (x, y) of boxes, float64, shape (N, 2), level-0 px."""
    return np.asarray([(b.x + b.width / 2, b.y + b.height / 2) for b in boxes], np.float64).reshape(-1, 2)


def name_objects(report: Report) -> dict[str, DetectionResult]:
    """Everything that an analysis as it was made holds a box of, by the names that reviews call it.

    `outside-` are those that would count but for the regions that it was made with.
    """
    named = {f"detection-{i}": found for i, found in enumerate(report.detections)}
    named |= {f"outside-{i}": found for i, found in enumerate(report.outside)}
    return named | {f"candidate-{i}": found for i, found in enumerate(report.candidates)}


def apply_decision(
    decision: ReviewDecision,
    counted: dict[str, DetectionResult],
    others: dict[str, DetectionResult],
    unnamed: Sequence[tuple[float, float, float]] = (),
    atypical_threshold: float | None = None,
) -> ReviewedFigures:
    """The figures after review.

    counted, others : what the model counts at the threshold and what it does not, by the names that reviews call them
    unnamed : x, y and probability of what is expected to be figures in part and has no name
    atypical_threshold : see `Report.atypical_threshold`
    """
    verdicts = {judged.target: judged for judged in decision.objects}
    judged = [found for name, found in counted.items() if name in verdicts]
    rejected = sum(name in counted and not verdict.is_figure for name, verdict in verdicts.items())
    confirmed = [verdict for verdict in decision.objects if verdict.is_figure]
    unjudged = [found for name, found in counted.items() if name not in verdicts]
    open_ones = unjudged + [found for name, found in others.items() if name not in verdicts]
    seen = counted | others
    rest = np.asarray(unnamed, np.float64).reshape(-1, 3)
    return ReviewedFigures(
        centres=np.concatenate([find_centres(confirmed), find_centres(unjudged)]),
        confirmed=find_centres(confirmed),
        judged=find_centres(judged),
        open_centres=np.concatenate([find_centres(open_ones), rest[:, :2]]),
        open_probabilities=np.concatenate(
            [np.asarray([found.probability for found in open_ones], np.float64), rest[:, 2]]
        ),
        accepted=len(judged) - rejected,
        rejected=rejected,
        added=sum(verdict.target not in counted for verdict in confirmed),
        unjudged=len(unjudged),
        decision=decision,
        marks=mark_figures([*(seen.get(verdict.target) for verdict in confirmed), *unjudged], atypical_threshold),
    )
