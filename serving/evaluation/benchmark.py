"""Releases, and what others found, on labelled pictures: figures for all, and for each tumour, scanner and case.

Nothing is chosen here: a release counts by the threshold of its own card, and what others found by what they called it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.core.words import RESEARCH_USE
from serving.evaluation.bootstrap import bootstrap_interval
from serving.evaluation.measured_picture import MeasuredPicture, rank_measured
from serving.evaluation.metrics import Rates
from serving.evaluation.ranking import average_precision

Grouping = Literal["all", "tumour", "scanner", "case"]
UNSTATED = "not stated"
DRAWS = 1000
"""Of the bootstrap over cases."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EstimateWithInterval(_Part):
    """A figure with its 95 % interval; null where it is undefined or there are too few cases."""

    value: float | None
    low: float | None = None
    high: float | None = None


class BenchmarkEntry(_Part):
    """What was held against the labels: a release of this server, or detections of others."""

    name: str
    models: list[str] = Field(default_factory=list, description="Versions; empty of what others found.")
    threshold: float | None = Field(
        default=None, description="Probability from which detections count: the card's. Null of others."
    )
    provider: str | None = None


class GroupFigures(_Part):
    """One entry on one group of pictures."""

    entry: str
    by: Grouping
    group: str
    pictures: int
    cases: int
    figures: int = Field(description="Labelled mitotic figures.")
    counted: int = Field(description="Detections that count, where somebody looked.")
    true_positives: int
    precision: float
    recall: float
    f1: EstimateWithInterval
    average_precision: EstimateWithInterval = Field(description="By centre distance, one-to-one within 7.5 um.")
    mean_count_difference: float = Field(description="Counted less labelled figures, a picture.")
    hotspots: int = Field(description="Pictures larger than the hotspot in which both have a figure.")
    hotspot_overlap: float | None = Field(
        description="Mean intersection over union of the hotspot of what was counted and of what is labelled."
    )
    hotspot_share: float | None = Field(
        description="Labelled figures in the hotspot that was found, of those in the labels' own."
    )
    seconds_per_mm2: float | None = Field(
        description="Of tissue; on a CPU processor time over the cores, else by the clock. Null of others."
    )


class BenchmarkDifference(_Part):
    """F1 of an entry less that of the first, on the same pictures."""

    first: str
    second: str
    by: Grouping
    group: str
    pictures: int
    f1: EstimateWithInterval


class PictureFailure(_Part):
    """A picture that an entry has no result for."""

    entry: str
    picture: str
    reason: str


class Benchmark(_Part):
    """The result of a benchmark."""

    schema_version: Literal["1.0"] = "1.0"
    data_set: str
    format: str
    licence: str
    pictures: int = Field(description="Labelled pictures of the folder that were asked for.")
    unlabelled: int = Field(description="Pictures that nobody labelled: they are left out.")
    match_radius_um: float
    hotspot_mm2: float
    entries: list[BenchmarkEntry]
    groups: list[GroupFigures]
    differences: list[BenchmarkDifference]
    failures: list[PictureFailure]
    notes: list[str] = Field(description="What became of records of the labels.")
    research_use: str = RESEARCH_USE


def summarise_groups(entry: str, judged: Sequence[MeasuredPicture]) -> list[GroupFigures]:
    """The figures of an entry for all pictures and for each tumour, scanner and case."""
    return [_summarise(entry, by, group, chosen) for by, group, chosen in _split(judged)]


def compare_groups(
    first: tuple[str, Sequence[MeasuredPicture]], second: tuple[str, Sequence[MeasuredPicture]]
) -> list[BenchmarkDifference]:
    """F1 of the second less that of the first, for all and for each tumour and scanner, over the pictures of both."""
    others = {judged.picture.id: judged for judged in second[1]}
    common = [judged for judged in first[1] if judged.picture.id in others]
    made = []
    for by, group, chosen in _split(common):
        if by == "case":
            continue
        cases = list(_by(chosen, _case).values())

        def difference(units: Sequence[Sequence[MeasuredPicture]]) -> float:
            own = [j for unit in units for j in unit]
            return _f1([others[j.picture.id] for j in own]) - _f1(own)

        made.append(
            BenchmarkDifference(
                first=first[0],
                second=second[0],
                by=by,
                group=group,
                pictures=len(chosen),
                f1=_estimate(cases, difference),
            )
        )
    return made


def _summarise(entry: str, by: Grouping, group: str, judged: Sequence[MeasuredPicture]) -> GroupFigures:
    total = _total(judged)
    cases = list(_by(judged, _case).values())
    hotspots = [j for j in judged if j.hotspot_overlap is not None]
    timed = [(j.seconds, j.tissue_mm2) for j in judged if j.seconds is not None and j.tissue_mm2]
    area = sum(mm2 for _, mm2 in timed)
    most = sum(j.hotspot_most or 0 for j in hotspots)
    figures = total.true_positives + total.false_negatives
    counted = total.true_positives + total.false_positives
    return GroupFigures(
        entry=entry,
        by=by,
        group=group,
        pictures=len(judged),
        cases=len(cases),
        figures=figures,
        counted=counted,
        true_positives=total.true_positives,
        precision=total.precision,
        recall=total.recall,
        f1=_estimate(cases, lambda units: _f1([j for unit in units for j in unit])),
        average_precision=_estimate(
            cases, lambda units: average_precision(rank_measured([j for unit in units for j in unit]))
        ),
        mean_count_difference=(counted - figures) / max(len(judged), 1),
        hotspots=len(hotspots),
        hotspot_overlap=sum(j.hotspot_overlap or 0.0 for j in hotspots) / len(hotspots) if hotspots else None,
        hotspot_share=sum(j.hotspot_true or 0 for j in hotspots) / most if most else None,
        seconds_per_mm2=sum(seconds for seconds, _ in timed) / area if area else None,
    )


def _split(judged: Sequence[MeasuredPicture]) -> list[tuple[Grouping, str, list[MeasuredPicture]]]:
    found: list[tuple[Grouping, str, list[MeasuredPicture]]] = [("all", "all", list(judged))]
    kinds: Mapping[Grouping, Callable[[MeasuredPicture], str]] = {
        "tumour": lambda j: j.picture.attributes.get("tumour", UNSTATED),
        "scanner": lambda j: j.picture.attributes.get("scanner", UNSTATED),
        "case": _case,
    }
    for by, name in kinds.items():
        groups = _by(judged, name)
        if set(groups) != {UNSTATED}:
            found += [(by, group, chosen) for group, chosen in sorted(groups.items())]
    return found


def _by(judged: Iterable[MeasuredPicture], name: Callable[[MeasuredPicture], str]) -> dict[str, list[MeasuredPicture]]:
    groups: dict[str, list[MeasuredPicture]] = {}
    for picture in judged:
        groups.setdefault(name(picture), []).append(picture)
    return groups


def _case(judged: MeasuredPicture) -> str:
    return judged.picture.patient


def _total(judged: Sequence[MeasuredPicture]) -> Rates:
    return Rates(
        sum(j.rates.true_positives for j in judged),
        sum(j.rates.false_positives for j in judged),
        sum(j.rates.false_negatives for j in judged),
    )


def _f1(judged: Sequence[MeasuredPicture]) -> float:
    total = _total(judged)
    nothing = not (total.true_positives or total.false_positives or total.false_negatives)
    return math.nan if nothing else total.f1


def _estimate(
    cases: Sequence[Sequence[MeasuredPicture]], statistic: Callable[[Sequence[Sequence[MeasuredPicture]]], float]
) -> EstimateWithInterval:
    found = bootstrap_interval(cases, statistic, unit="patients", draws=DRAWS)
    return EstimateWithInterval(value=_number(found.value), low=_number(found.low), high=_number(found.high))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
