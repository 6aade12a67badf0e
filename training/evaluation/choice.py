"""What is chosen on the training groups of a fold: calibration, threshold and what makes a count of probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.evaluation.threshold_rules import THRESHOLD_RULES
from serving.scoring.expected import chance_variance, count_figures
from training.evaluation.calibrations import CALIBRATIONS, ProbabilityMap
from training.evaluation.judged_pictures import PooledDetections, figures_in

AUTOMATIC = "automatic"
"""The calibration with the lowest Brier score on groups that it was not fitted on, all within the training groups."""


@dataclass(frozen=True, slots=True)
class CountRule:
    """From calibrated probabilities p of candidates to the number of figures.

    factor : figures over candidates that are figures: what no candidate shows is counted by it
    spread : how far groups differ from what is expected beyond chance, as a share (a standard deviation)
    """

    factor: float
    spread: float

    def estimate(self, probabilities: NDArray[np.float64]) -> tuple[float, float, float]:
        """The expected count of these candidates and its interval of 95 %, as serving counts: `count_figures`."""
        return count_figures(probabilities, self.factor, self.spread)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a release is served with. method : name of the calibration; rule : of the threshold's."""

    method: str
    calibration: ProbabilityMap
    rule: str
    threshold: float
    """Of calibrated probability."""
    count: CountRule


def choose(detected: PooledDetections, *, calibration: str = AUTOMATIC, rule: str = "flat-f1") -> Choice:
    """Choose on these pictures alone.

    calibration : a name of `CALIBRATIONS`, or `AUTOMATIC`. rule : a name of `THRESHOLD_RULES`

    Raises
    ------
    ValueError
        If a name is not known; the message lists those that are.
    """
    check_names(calibration, rule)
    method = best_calibration(detected) if calibration == AUTOMATIC else calibration
    fitted = fit(method, detected)
    p = fitted.apply(detected.scores)
    return Choice(method, fitted, rule, THRESHOLD_RULES[rule](detected.ranking(p)), fit_count_rule(detected, p))


def check_names(calibration: str, rule: str) -> None:
    """Check that a calibration and a rule are known.

    Raises
    ------
    ValueError
        If one is not; the message lists those that are.
    """
    known = [AUTOMATIC, *CALIBRATIONS]
    if calibration not in known:
        raise ValueError(f"there is no calibration {calibration!r}; there are {', '.join(known)}")
    if rule not in THRESHOLD_RULES:
        raise ValueError(f"there is no threshold rule {rule!r}; there are {', '.join(THRESHOLD_RULES)}")


def fit(method: str, detected: PooledDetections) -> ProbabilityMap:
    """Fit a calibration; the scores stay as they are where there are no detections."""
    return CALIBRATIONS[method if len(detected.scores) else "none"](detected.scores, detected.hits)


def best_calibration(detected: PooledDetections) -> str:
    """The calibration with the lowest Brier score, each group by a fit on the others; of equals, the first registered."""
    groups = np.asarray([p.group for p in detected.pictures])
    names = sorted(set(groups.tolist()))
    if len(names) < 2 or not len(detected.scores):
        return "none"
    loss = dict.fromkeys(CALIBRATIONS, 0.0)
    for name in names:
        inside, outside = detected.only(groups != name), detected.only(groups == name)
        for method in loss:
            loss[method] += float(((fit(method, inside).apply(outside.scores) - outside.hits) ** 2).sum())
    return min(loss, key=lambda method: loss[method])


def fit_count_rule(detected: PooledDetections, probabilities: NDArray[np.float64]) -> CountRule:
    """Factor and spread by moments over groups: the mean of ((figures - expected)^2 - chance) / expected^2, if above 0."""
    groups = np.asarray([p.group for p in detected.pictures])
    figures = np.asarray([figures_in(p) for p in detected.pictures])
    hits = int(detected.hits.sum())
    factor = max(float(figures.sum()) / hits, 1.0) if hits else 1.0
    excess, weights = [], []
    for group in sorted(set(groups.tolist())):
        p = probabilities[detected.groups == group]
        mean = factor * float(p.sum())
        excess.append((float(figures[groups == group].sum()) - mean) ** 2 - chance_variance(p, factor))
        weights.append(mean**2)
    spread = float(np.sqrt(max(sum(excess) / sum(weights), 0.0))) if sum(weights) > 0 else 0.0
    return CountRule(factor, spread)
