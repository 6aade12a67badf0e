"""Counts of detections at one threshold, over all slides and slide by slide, as the summary states them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from serving.evaluation.bootstrap import Unit, bootstrap_interval, spread
from serving.evaluation.metrics import FieldDetections, Rates, rates
from training.evaluation.served_analysis import group_by_slide
from training.evaluation.summary import DetectionCounts, FigureFree, Measured, SlideRow, SpreadRow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """How intervals are drawn. unit : over what; patients are the slides where each patient gave one."""

    unit: Unit
    draws: int
    seed: int


def detection_counts(found: Sequence[FieldDetections], threshold: float, sampling: BootstrapOptions) -> DetectionCounts:
    """Counts over all fields, and their rates with intervals."""
    total = rates(found, threshold)
    units = [rates(fields, threshold) for fields in _units(found, sampling)]
    return DetectionCounts(
        true_positives=total.true_positives,
        false_positives=total.false_positives,
        false_negatives=total.false_negatives,
        precision=_measure(units, precision, sampling),
        recall=_measure(units, recall, sampling),
        f1=_measure(units, f1, sampling),
    )


def slide_row(slide: str, fields: Sequence[FieldDetections], threshold: float) -> SlideRow:
    """The counts and rates of one slide's fields."""
    at = rates(fields, threshold)
    return SlideRow(
        slide=slide,
        fields=len(fields),
        figures=sum(len(field.truth) for field in fields),
        true_positives=at.true_positives,
        false_positives=at.false_positives,
        false_negatives=at.false_negatives,
        precision=precision([at]),
        recall=recall([at]),
        f1=f1([at]),
    )


def spread_rows(slides: Sequence[Rates]) -> list[SpreadRow]:
    """How precision, recall and F1 differ between slides."""
    figures: tuple[tuple[Literal["precision", "recall", "F1"], Callable[[Sequence[Rates]], float]], ...] = (
        ("precision", precision),
        ("recall", recall),
        ("F1", f1),
    )
    rows = []
    for name, figure in figures:
        of = spread([figure([slide]) for slide in slides])
        rows.append(
            SpreadRow(figure=name, minimum=of.minimum, median=of.median, maximum=of.maximum, sd=of.sd, units=of.units)
        )
    return rows


def figure_free(
    found: Sequence[FieldDetections], areas_mm2: Sequence[float], threshold: float, sampling: BootstrapOptions
) -> FigureFree:
    """False positives per mm2 of the fields that hold no labelled figure.

    areas_mm2 : of each field, in the order of `found`
    """
    empty = [(field, area) for field, area in zip(found, areas_mm2, strict=True) if not len(field.truth)]
    units: dict[int | str, tuple[int, float]] = {}
    for number, (field, area) in enumerate(empty):
        unit = number if sampling.unit == "fields" else field.group
        count, looked_at = units.get(unit, (0, 0.0))
        units[unit] = count + rates([field], threshold).false_positives, looked_at + area
    return FigureFree(
        fields=len(empty),
        area_mm2=sum(area for _, area in units.values()),
        false_positives=sum(count for count, _ in units.values()),
        per_mm2=_measure(list(units.values()), _density, sampling),
    )


def precision(counts: Sequence[Rates]) -> float:
    """Share of all detections that are figures; NaN without detections."""
    hits = sum(c.true_positives for c in counts)
    return _share(hits, hits + sum(c.false_positives for c in counts))


def recall(counts: Sequence[Rates]) -> float:
    """Share of all figures that were detected; NaN without figures."""
    hits = sum(c.true_positives for c in counts)
    return _share(hits, hits + sum(c.false_negatives for c in counts))


def f1(counts: Sequence[Rates]) -> float:
    """Harmonic mean of precision and recall of all; NaN where there are neither figures nor detections."""
    hits = 2 * sum(c.true_positives for c in counts)
    return _share(hits, hits + sum(c.false_positives + c.false_negatives for c in counts))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _density(counted: Sequence[tuple[int, float]]) -> float:
    return sum(count for count, _ in counted) / sum(area for _, area in counted)


def _units(found: Sequence[FieldDetections], sampling: BootstrapOptions) -> list[list[FieldDetections]]:
    return [[field] for field in found] if sampling.unit == "fields" else list(group_by_slide(found).values())


def _measure(units: Sequence[T], statistic: Callable[[Sequence[T]], float], sampling: BootstrapOptions) -> Measured:
    interval = bootstrap_interval(units, statistic, unit=sampling.unit, draws=sampling.draws, seed=sampling.seed)
    return Measured.model_validate(interval)
