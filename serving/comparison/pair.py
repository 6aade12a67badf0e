"""One slide as two cascades see it."""

from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from serving.comparison.distributions import SCORE_EDGES, compute_shares
from serving.core.counts import CountComponent, Hotspot
from serving.core.options import CountingOptions
from serving.core.profiles import load_profile
from serving.core.report import DetectionResult
from serving.scoring.analysis import Analysis, MitosisMap
from serving.scoring.counting_settings import restore_options
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.scoring.recount import recount

KEPT = 200
"""Disagreements of a slide that are listed, the likeliest first; all are counted."""
NEARLY = 0.5
"""From this share of its threshold a place that a cascade does not count is one that it saw."""

Kind = Literal["only first", "only second", "fell below", "rose above"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Disagreement(_Part):
    """A place that one cascade counts as a mitotic figure and the other does not; level-0 px, (x, y) top left."""

    kind: Kind = Field(
        description="`fell below`, `rose above`: both see it, and the second has it below, above its threshold; "
        "`only first`, `only second`: the other does not see it."
    )
    x: float
    y: float
    width: float
    height: float
    first: float | None = Field(description="Probability by the first cascade; null where it did not see it.")
    second: float | None
    first_score: float | None = Field(
        description="Highest Reg-NS score of a sub-tile there; null where none was scored."
    )
    second_score: float | None


class Side(_Part):
    """What one cascade says of the slide."""

    models: list[str]
    threshold: float
    mitotic_figures: int
    atypical_figures: int | None = Field(default=None, description="Of them; null without an atypia model.")
    hotspot_figures: int | None = Field(description="In the fullest hotspot; null without one.")
    category: int | None = Field(description="Place of the mitotic-count component among the profile's labels.")
    label: str | None
    mean_score: float | None
    scores: list[float] = Field(
        description="Shares of sub-tiles in the bins of scores; all 0 of a fast analysis, whose sub-tiles are chosen by triage."
    )


class Pair(_Part):
    """A slide as two cascades see it."""

    slide: str = Field(description="SHA-256.")
    name: str
    mpp: float
    width: int = Field(description="Level-0 px.")
    height: int
    first: Side
    second: Side
    matched: int = Field(description="Figures of both, one-to-one within 7.5 um.")
    hotspot_iou: float | None = Field(description="Of the fullest hotspots; null where one has none.")
    profile: str | None = Field(description="Cut-offs by which both have a category.")
    disagreements: list[Disagreement]
    disagreeing: int = Field(description="How many there are; the list ends at 200.")


def compare(first: Analysis, second: Analysis, *, thresholds: tuple[float, float]) -> Pair:
    """Compare two analyses of the same slide with the same options.

    thresholds : from which probability a detection counts, of each; an analysis may hold less likely ones too, which tell
        a place that moved over the threshold from one that was not seen
    """
    seen = first.report.detections, second.report.detections
    counted = [
        apply_threshold(analysis, threshold) for analysis, threshold in zip((first, second), thresholds, strict=True)
    ]
    sides = [_side(analysis, threshold) for analysis, threshold in zip(counted, thresholds, strict=True)]
    slide = first.report.slide
    matched, disagreements = _places(seen, thresholds, (first.mitosis_map, second.mitosis_map))
    one, other = (analysis.report for analysis in counted)
    both = one.hotspots and other.hotspots
    return Pair(
        slide=slide.sha256,
        name=slide.name,
        mpp=slide.mpp,
        width=slide.width,
        height=slide.height,
        first=sides[0],
        second=sides[1],
        matched=matched,
        hotspot_iou=round(hotspot_iou(one.hotspots[0], other.hotspots[0]), 4) if both else None,
        profile=_profile(one.counts.component, other.counts.component),
        disagreements=disagreements[:KEPT],
        disagreeing=len(disagreements),
    )


def apply_threshold(analysis: Analysis, threshold: float) -> Analysis:
    """The analysis with what counts at `threshold` alone."""
    if all(d.probability >= threshold for d in analysis.report.detections):
        return analysis
    stated = analysis.report.settings.counting
    if stated is None:  # of a release before report 1.1, which counts again by default settings
        return recount(analysis, CountingOptions(), threshold=threshold)
    return recount(analysis, restore_options(stated), threshold=threshold)


def hotspot_iou(first: Hotspot, second: Hotspot) -> float:
    """Intersection over union of two windows' bounding boxes, by which a disc is taken for its square; connected fields as they are."""
    if first.parts is not None or second.parts is not None:
        one, other = (
            shapely.union_all([shapely.box(x, y, x + w, y + h) for x, y, w, h in parts])
            for parts in (found.parts or [(found.x, found.y, found.width, found.height)] for found in (first, second))
        )
        return float(one.intersection(other).area / one.union(other).area)
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (first.width * first.height + second.width * second.height - shared)


def _side(analysis: Analysis, threshold: float) -> Side:
    report, lattice = analysis.report, analysis.mitosis_map
    scores = lattice.scores if lattice.triage is None else np.empty(0, np.float32)
    component, known = report.counts.component, scores[np.isfinite(scores)]
    return Side(
        models=[f"{model.name}@{model.version}" for model in report.used_models],
        threshold=threshold,
        mitotic_figures=report.counts.mitotic_figures,
        atypical_figures=None if report.counts.atypical is None else report.counts.atypical.figures,
        hotspot_figures=report.hotspots[0].mitotic_figures if report.hotspots else None,
        category=_category(component),
        label=None if component is None else component.estimate,
        mean_score=round(float(known.mean()), 5) if len(known) else None,
        scores=[round(float(share), 6) for share in compute_shares(scores, SCORE_EDGES)],
    )


def _category(component: CountComponent | None) -> int | None:
    if component is None or component.estimate is None:
        return None
    return load_profile(component.profile).labels.index(component.estimate)


def _profile(first: CountComponent | None, second: CountComponent | None) -> str | None:
    estimated = [c.profile for c in (first, second) if c is not None and c.estimate is not None]
    return estimated[0] if len(estimated) == 2 else None


def _places(
    seen: tuple[list[DetectionResult], list[DetectionResult]],
    thresholds: tuple[float, float],
    maps: tuple[MitosisMap, MitosisMap],
) -> tuple[int, list[Disagreement]]:
    """How many figures both have, and where only one has one, the likeliest first."""
    radius = MATCH_RADIUS_UM / maps[0].mpp
    figures = [[d for d in found if d.probability >= t] for found, t in zip(seen, thresholds, strict=True)]
    faint = [[d for d in found if NEARLY * t <= d.probability < t] for found, t in zip(seen, thresholds, strict=True)]
    pairs = match_centres(_centres(figures[0]), _centres(figures[1]), radius)
    taken = [{pair[side] for pair in pairs} for side in (0, 1)]
    listed = []
    for own in (0, 1):
        alone = [d for i, d in enumerate(figures[own]) if i not in taken[own]]
        partner = dict(match_centres(_centres(alone), _centres(faint[1 - own]), radius))
        for i, figure in enumerate(alone):
            other = faint[1 - own][partner[i]].probability if i in partner else None
            listed.append(_disagreement(figure, own, other, maps))
    return len(pairs), sorted(listed, key=lambda d: (-max(d.first or 0.0, d.second or 0.0), d.y, d.x))


def _disagreement(
    figure: DetectionResult, own: int, other: float | None, maps: tuple[MitosisMap, MitosisMap]
) -> Disagreement:
    kinds: tuple[tuple[Kind, Kind], tuple[Kind, Kind]] = (("only first", "fell below"), ("only second", "rose above"))
    centre = figure.x + figure.width / 2, figure.y + figure.height / 2
    scores = [_score_at(lattice, *centre) for lattice in maps]
    return Disagreement(
        kind=kinds[own][other is not None],
        x=figure.x,
        y=figure.y,
        width=figure.width,
        height=figure.height,
        first=figure.probability if own == 0 else other,
        second=figure.probability if own == 1 else other,
        first_score=scores[0],
        second_score=scores[1],
    )


def _centres(found: list[DetectionResult]) -> NDArray[np.float64]:
    return np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in found], np.float64).reshape(-1, 2)


def _score_at(lattice: MitosisMap, x: float, y: float) -> float | None:
    """The highest score of the sub-tiles that show a place; None where none was scored."""
    rows, columns = (_showing(v, lattice, n) for v, n in ((y - lattice.y, 0), (x - lattice.x, 1)))
    found = lattice.scores[rows, columns]
    return None if not np.isfinite(found).any() else round(float(np.nanmax(found)), 5)


def _showing(offset: float, lattice: MitosisMap, axis: int) -> slice:
    last = int(offset // lattice.step)
    first = int(np.floor((offset - lattice.window) / lattice.step)) + 1
    return slice(max(first, 0), min(last, lattice.scores.shape[axis] - 1) + 1)
