"""How far recent slides are from a reference, and from where on that is worth a look or an alarm."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from serving.comparison.distributions import largest_gap, mean_shares, population_stability
from serving.core.card_parts import DriftReference, StainReference
from serving.core.modelinput import Colour
from serving.drift.statistics import SlideStatistics, angle_between

Name = Literal["scores", "density", "haematoxylin", "eosin"]
NAMES: tuple[Name, ...] = get_args(Name)
Level = Literal["steady", "watch", "alarm"]
LEVELS: tuple[Level, ...] = get_args(Level)

STABILITY = (0.1, 0.25)
"""Of the population stability index: below the first nothing has changed, above the second much has (Siddiqi, 2006)."""
STABILITY_SOURCE = "convention for the population stability index (Siddiqi, Credit Risk Scorecards, 2006)"
SIGMAS = (2.0, 3.0)
"""Warning and action limits of control charts (Shewhart, 1931)."""
SIGMAS_SOURCE = (
    "2 and 3 standard deviations of the reference's slides (control charts; Shewhart, 1931), 1 degree at the least"
)
LEAST_SPREAD_DEG = 1.0
"""Slides of one stain differ by about this where nothing has changed: their cells do. A reference of one slide has no spread."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One distance from the reference."""

    name: Name
    value: float
    unit: str
    watch: float
    alarm: float
    source: str
    """Of the two thresholds."""
    level: Level


def make_reference(slides: Sequence[SlideStatistics], data: str) -> DriftReference:
    """What some slides, at least one, are like together."""
    return DriftReference(
        slides=len(slides),
        data=data,
        scores=_shares([slide.scores for slide in slides]),
        density=_shares([slide.density for slide in slides]),
        mean_score=round(float(np.mean([slide.mean_score for slide in slides])), 6),
        mean_density=round(float(np.mean([slide.mean_density for slide in slides])), 6),
        haematoxylin=_stain([slide.haematoxylin for slide in slides]),
        eosin=_stain([slide.eosin for slide in slides]),
    )


def distances(reference: DriftReference, recent: DriftReference) -> list[Measure]:
    """How far recent slides are from the reference; a stain that either does not show has no measure."""
    found = [
        _judge("scores", _stability(reference.scores, recent.scores), "PSI", STABILITY, STABILITY_SOURCE),
        _judge("density", _stability(reference.density, recent.density), "PSI", STABILITY, STABILITY_SOURCE),
    ]
    stains: tuple[tuple[Name, StainReference | None, StainReference | None], ...] = (
        ("haematoxylin", reference.haematoxylin, recent.haematoxylin),
        ("eosin", reference.eosin, recent.eosin),
    )
    for name, known, now in stains:
        if known is not None and now is not None:
            spread = max(known.spread_deg, LEAST_SPREAD_DEG)
            limits = SIGMAS[0] * spread, SIGMAS[1] * spread
            angle = angle_between(np.asarray(known.colour), np.asarray(now.colour))
            found.append(_judge(name, angle, "degrees", limits, SIGMAS_SOURCE))
    return found


def score_gap(reference: DriftReference, recent: DriftReference) -> float:
    """The Kolmogorov-Smirnov distance of the scores."""
    return largest_gap(np.asarray(reference.scores), np.asarray(recent.scores))


def _stability(reference: list[float], recent: list[float]) -> float:
    return population_stability(np.asarray(reference), np.asarray(recent))


def _judge(name: Name, value: float, unit: str, limits: tuple[float, float], source: str) -> Measure:
    level = LEVELS[sum(value >= limit for limit in limits)]
    return Measure(name, value, unit, limits[0], limits[1], source, level)


def _shares(each: Sequence[list[float]]) -> list[float]:
    return [round(float(share), 6) for share in mean_shares([np.asarray(shares) for shares in each])]


def _stain(colours: Sequence[Colour | None]) -> StainReference | None:
    """The mean direction, and how far the slides' own are from it."""
    known: NDArray[np.float64] = np.asarray([colour for colour in colours if colour is not None], np.float64)
    if not len(known):
        return None
    mean = known.mean(0) / np.linalg.norm(known.mean(0))
    angles = np.asarray([angle_between(own / np.linalg.norm(own), mean) for own in known])
    red, green, blue = (round(float(v), 6) for v in mean)
    return StainReference(colour=(red, green, blue), spread_deg=round(float(np.sqrt((angles**2).mean())), 4))
