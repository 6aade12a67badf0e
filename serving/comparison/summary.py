"""What many slides say together of two cascades."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from serving.comparison.agreement import measure_agreement, weighted_kappa
from serving.comparison.distributions import largest_gap, mean_shares, population_stability
from serving.comparison.pair import Pair
from serving.core.profiles import load_profile
from serving.core.words import RESEARCH_USE


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CountAgreement(_Part):
    """Of paired counts; a difference is the second cascade's less the first's. Null where there are too few pairs."""

    pairs: int
    mean_first: float | None
    mean_second: float | None
    mean_difference: float | None
    low: float | None = Field(description="Limits of agreement (Bland and Altman, 1986): mean difference -+ 1.96 SD.")
    high: float | None
    concordance: float | None = Field(description="Lin's concordance correlation coefficient (1989).")


class PlaceAgreement(_Part):
    """Of all slides' figures, matched one-to-one within 7.5 um."""

    both: int
    only_first: int = Field(description="Figures of the first cascade alone, those among them that fell below too.")
    only_second: int
    agreement: float | None = Field(description="2 both / (figures of the first + of the second): F1 without a truth.")
    kinds: dict[str, int] = Field(description="Of the disagreements that are listed, how many of each kind.")


class CategoryAgreement(_Part):
    """Of the mitotic-count component by one profile's cut-offs."""

    profile: str
    labels: list[str]
    table: list[list[int]] = Field(description="Slides, a row for each label by the first cascade.")
    kappa: float | None = Field(description="Weighted by squared distance (Cohen, 1968); null where it is not defined.")


class ScoreDifference(_Part):
    """Of the distributions of sub-tile scores, each slide with the same weight."""

    mean_first: float | None
    mean_second: float | None
    population_stability: float | None = Field(description="Of the second against the first; bins of a tenth each.")
    largest_gap: float | None = Field(description="Kolmogorov-Smirnov distance.")


class Comparison(_Part):
    """Two cascades on the same slides."""

    first: list[str] = Field(description="Models, as name@version.")
    second: list[str]
    slides: int
    left_out: int = Field(description="Slides that other models scored meanwhile.")
    figures: CountAgreement = Field(description="Mitotic figures of the slide.")
    hotspot_figures: CountAgreement = Field(description="Mitotic figures in the fullest hotspot.")
    places: PlaceAgreement
    hotspot_iou: float | None = Field(description="Mean overlap of the fullest hotspots, intersection over union.")
    categories: list[CategoryAgreement]
    scores: ScoreDifference
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE


def find_latest_models(pairs: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """The models of the last pair; none where there is no pair."""
    return (pairs[-1].first.models, pairs[-1].second.models) if pairs else ([], [])


def summarise(all_pairs: Sequence[Pair]) -> Comparison:
    """Sum up the pairs of the two cascades that the last one is of: while a shadow ran, another release may have served."""
    first, second = find_latest_models(all_pairs)
    pairs = [pair for pair in all_pairs if (pair.first.models, pair.second.models) == (first, second)]
    spots = [p for p in pairs if p.first.hotspot_figures is not None and p.second.hotspot_figures is not None]
    ious = [p.hotspot_iou for p in pairs if p.hotspot_iou is not None]
    return Comparison(
        first=first,
        second=second,
        slides=len(pairs),
        left_out=len(all_pairs) - len(pairs),
        figures=_counts(pairs, lambda pair: (pair.first.mitotic_figures, pair.second.mitotic_figures)),
        hotspot_figures=_counts(
            spots, lambda pair: (pair.first.hotspot_figures or 0, pair.second.hotspot_figures or 0)
        ),
        places=_places(pairs),
        hotspot_iou=_mean(ious),
        categories=[_categories(pairs, name) for name in sorted({p.profile for p in pairs if p.profile is not None})],
        scores=_scores(pairs),
    )


def _counts(pairs: Sequence[Pair], of: Callable[[Pair], tuple[int, int]]) -> CountAgreement:
    counts = [of(pair) for pair in pairs]
    found = measure_agreement([a for a, _ in counts], [b for _, b in counts])
    return CountAgreement(
        pairs=found.pairs,
        mean_first=_round(found.mean_first),
        mean_second=_round(found.mean_second),
        mean_difference=_round(found.mean_difference),
        low=_round(found.low),
        high=_round(found.high),
        concordance=_round(found.concordance),
    )


def _places(pairs: Sequence[Pair]) -> PlaceAgreement:
    both = sum(pair.matched for pair in pairs)
    first, second = sum(p.first.mitotic_figures for p in pairs), sum(p.second.mitotic_figures for p in pairs)
    kinds = Counter(str(place.kind) for pair in pairs for place in pair.disagreements)
    return PlaceAgreement(
        both=both,
        only_first=first - both,
        only_second=second - both,
        agreement=_round(2 * both / (first + second)) if first + second else None,
        kinds=dict(sorted(kinds.items())),
    )


def _categories(pairs: Sequence[Pair], profile: str) -> CategoryAgreement:
    labels = load_profile(profile).labels
    rated = [
        (p.first.category, p.second.category)
        for p in pairs
        if p.profile == profile and p.first.category is not None and p.second.category is not None
    ]
    table = [[rated.count((i, j)) for j in range(len(labels))] for i in range(len(labels))]
    return CategoryAgreement(
        profile=profile, labels=list(labels), table=table, kappa=_round(weighted_kappa(rated, len(labels)))
    )


def _scores(pairs: Sequence[Pair]) -> ScoreDifference:
    scored = [p for p in pairs if sum(p.first.scores) and sum(p.second.scores)]
    if not scored:
        return ScoreDifference(mean_first=None, mean_second=None, population_stability=None, largest_gap=None)
    first = mean_shares([np.asarray(p.first.scores) for p in scored])
    second = mean_shares([np.asarray(p.second.scores) for p in scored])
    return ScoreDifference(
        mean_first=_mean([p.first.mean_score for p in scored if p.first.mean_score is not None]),
        mean_second=_mean([p.second.mean_score for p in scored if p.second.mean_score is not None]),
        population_stability=_round(population_stability(first, second)),
        largest_gap=_round(largest_gap(first, second)),
    )


def _mean(values: Sequence[float]) -> float | None:
    return _round(float(np.mean(values))) if values else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
