"""Calibrations: from a detection's score to the share of such detections that are figures. One class each, by name.

A new one is a function `fit` with the decorator `CALIBRATIONS.register`; the card states what it returns.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from serving.core.probability import IDENTITY, SUREST, LogitAffine, MonotoneTable
from serving.plugins import Registry

Floats = NDArray[np.float64]
ProbabilityMap = LogitAffine | MonotoneTable
Fit = Callable[[Floats, NDArray[np.bool_]], ProbabilityMap]

CALIBRATIONS: Registry[Fit] = Registry("calibration")
"""Fits by name. Each takes scores in 0..1, float64, shape (N,), and which of them are figures, bool, shape (N,)."""
_LEAST_SLOPE, _MOST_SLOPE = 1e-2, 1e2
_POINTS = 200


def logits(scores: Floats) -> Floats:
    """Logits of scores in 0..1, cut to what serving cuts them to. -> float64, shape (N,)."""
    return np.asarray(logit(np.clip(scores, SUREST, 1 - SUREST)), np.float64)


@CALIBRATIONS.register("none")
def fit_nothing(scores: Floats, figures: NDArray[np.bool_]) -> ProbabilityMap:
    """The scores as they are."""
    return IDENTITY


@CALIBRATIONS.register("temperature")
def fit_temperature(scores: Floats, figures: NDArray[np.bool_]) -> ProbabilityMap:
    """One slope of the logit and no intercept (Guo et al., 2017)."""
    x, target = logits(scores), _targets(figures)

    def loss(log_slope: float) -> float:
        return _log_loss(np.exp(log_slope) * x, target)

    found = minimize_scalar(loss, bounds=(np.log(_LEAST_SLOPE), np.log(_MOST_SLOPE)), method="bounded")
    return LogitAffine(slope=float(np.exp(found.x)), intercept=0.0)


@CALIBRATIONS.register("platt")
def fit_platt(scores: Floats, figures: NDArray[np.bool_]) -> ProbabilityMap:
    """Slope and intercept of the logit, with Platt's targets, which keep the fit finite where a line parts the classes."""
    x, target = logits(scores), _targets(figures)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, intercept = parameters
        z = slope * x + intercept
        wrong = expit(z) - target
        return _log_loss(z, target), np.asarray([(wrong * x).mean(), wrong.mean()])

    # Scores that mean the opposite of what they say are no reason to turn the order round: the slope stays positive.
    bounds = [(_LEAST_SLOPE, _MOST_SLOPE), (None, None)]
    found = minimize(loss, np.asarray([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return LogitAffine(slope=float(found.x[0]), intercept=float(found.x[1]))


@CALIBRATIONS.register("isotonic")
def fit_isotonic(scores: Floats, figures: NDArray[np.bool_]) -> ProbabilityMap:
    """The closest map that does not fall (Zadrozny and Elkan, 2002), thinned to at most 200 points."""
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, figures.astype(np.float64))
    points, values = fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_.astype(np.float64)
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), _POINTS)).round().astype(np.intp))
    return MonotoneTable(probabilities=points[kept].tolist(), values=values[kept].clip(0, 1).tolist())


def _targets(figures: NDArray[np.bool_]) -> Floats:
    """Platt's targets (1999): (n + 1) / (n + 2) of figures and 1 / (m + 2) of the rest."""
    yes, no = int(figures.sum()), int((~figures).sum())
    return np.where(figures, (yes + 1) / (yes + 2), 1 / (no + 2))


def _log_loss(z: Floats, target: Floats) -> float:
    return float((np.logaddexp(0, z) - target * z).mean())
