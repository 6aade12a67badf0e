"""A stored result counted again with other settings: hotspots, profile, threshold, review. No model runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import ReadingCounts
from serving.core.errors import RequestError
from serving.core.geometry import Region
from serving.core.options import CountingOptions
from serving.core.report import SCHEMA_VERSION, DetectionResult, Report, TileResult
from serving.core.report_parts import Quality
from serving.scoring.analysis import Analysis
from serving.scoring.area import Area
from serving.scoring.atypia import mark_figures
from serving.scoring.count_bounds import CountBounds
from serving.scoring.counting import count, drop_warnings
from serving.scoring.counting_input import CountingInput, figures_by_tile, find_cells
from serving.scoring.counting_settings import resolve_counting
from serving.scoring.expected import CountedCandidates
from serving.scoring.report_identity import analysis_id
from serving.scoring.reviewed import ReviewDecision, ReviewedFigures, apply_decision, find_centres, name_objects


@dataclass(frozen=True, slots=True)
class StatedReading:
    """One of two readings; `reader`, `reviewer` and `finished_at` as in `ReadingCounts`."""

    reader: str
    reviewer: str
    finished_at: str
    decision: ReviewDecision


def find_own_threshold(report: Report) -> float:
    """The probability from which the analysis counted detections."""
    return report.models[-1].thresholds.get("detection", 0.0)


def find_least_threshold(report: Report) -> float:
    """The probability down to which the report holds what the models saw."""
    own = find_own_threshold(report)
    return own if report.candidates_from is None else min(report.candidates_from, own)


def recount(
    analysis: Analysis,
    options: CountingOptions,
    *,
    threshold: float | None = None,
    decision: ReviewDecision | None = None,
    readers: Sequence[StatedReading] = (),
    fields: Sequence[tuple[float, float]] = (),
) -> Analysis:
    """The analysis with its counts, hotspots and id as `options` ask; what the models found stays.

    threshold : detections and candidates from it up count; None for the analysis's own
    decision : of reviewers; where it is given, all counts are stated after review, too
    readers : where the decision is the consensus of two readers, what each of them said; all counts are stated for each, too
    fields : middles (x, y), level-0 px, of windows that are counted where they are

    Raises
    ------
    RequestError
        If an option is out of range, or the threshold is below what the result holds: what was not kept cannot come back.
    RoiError
        If a region lies outside the slide.
    """
    report = analysis.report
    counting = resolve_counting(options, report.slide, threshold=threshold, regions=report.regions)
    bounds = CountBounds.from_counting(counting)
    split = _split(report, threshold, bounds)
    detections = list(split.counted.values())
    centres = find_centres(detections)
    tiles = _count_tiles(report, centres, analysis.mitosis_map.step)
    said = _Said(decision, [reading.decision for reading in readers])
    result = count(_gather(analysis, tiles, split, bounds, said), counting, fields)
    settings = report.settings.model_copy(update={"counting": counting})
    changed: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "analysis_id": analysis_id(
            report.slide,
            report.models,
            settings,
            methods=None if report.quality is None else report.quality.methods,
            atypia=report.atypia,
            regions=None if report.regions is None else report.regions.model,
        ),
        "settings": settings,
        "quality": _quality(analysis, centres),
        "tiles": tiles,
        "detections": detections,
        "outside": list(split.outside.values()),
        "candidates": list(split.others.values()),
        "counts": result.counts,
        "hotspots": result.hotspots,
        "fields": result.fields,
        "review": result.review,
        "readings": [
            ReadingCounts(reader=one.reader, reviewer=one.reviewer, finished_at=one.finished_at, review=counted)
            for one, counted in zip(readers, result.readings, strict=True)
        ],
        "warnings": [*drop_warnings(report.warnings), *result.warnings],
    }
    return replace(analysis, report=report.model_copy(update=changed))


def find_counted_area(analysis: Analysis, bounds: CountBounds) -> Area:
    """Tissue that is counted in."""
    return bounds.find_area(analysis.find_tissue(), analysis.quality, analysis.report.settings.qc)


@dataclass(frozen=True, slots=True)
class _Split:
    """Everything that a report holds a box of, by the names that reviews call it.

    outside : what would count but for the regions. others : what is below the threshold, wherever it is
    """

    counted: dict[str, DetectionResult]
    outside: dict[str, DetectionResult]
    others: dict[str, DetectionResult]


@dataclass(frozen=True, slots=True)
class _Said:
    """What is decided of an analysis, and what each of two readers said where that is their consensus."""

    decision: ReviewDecision | None
    readers: Sequence[ReviewDecision]


def _split(report: Report, threshold: float | None, bounds: CountBounds) -> _Split:
    """What counts at the threshold and in the regions, and what does not."""
    own, least = find_own_threshold(report), find_least_threshold(report)
    if threshold is not None and not least <= threshold <= 1:
        raise RequestError(
            f"`threshold` is {threshold:g}; this result holds what was seen from {least:g} up: give {least:g} to 1, or "
            "start an analysis with a lower one"
        )
    named = name_objects(report)
    if threshold is None or threshold == own:  # rounding might take what is just below it for figures
        likely = {name: found for name, found in named.items() if not name.startswith("candidate-")}
    else:
        likely = {name: found for name, found in named.items() if found.probability >= threshold}
    inside = _hold_named(bounds, likely)
    return _Split(
        inside,
        {name: found for name, found in likely.items() if name not in inside},
        {name: found for name, found in named.items() if name not in likely},
    )


def _hold_named(bounds: CountBounds, named: Mapping[str, DetectionResult]) -> dict[str, DetectionResult]:
    """Those that lie where figures are counted."""
    held = bounds.hold(find_centres(list(named.values())))
    return {name: found for (name, found), inside in zip(named.items(), held, strict=True) if inside}


def _limit_decision(decision: ReviewDecision, bounds: CountBounds) -> ReviewDecision:
    """What is decided of objects that lie where figures are counted."""
    held = bounds.hold(find_centres(decision.objects))
    return replace(decision, objects=tuple(o for o, inside in zip(decision.objects, held, strict=True) if inside))


def _gather(
    analysis: Analysis,
    tiles: list[TileResult],
    split: _Split,
    bounds: CountBounds,
    said: _Said,
) -> CountingInput:
    report, lattice = analysis.report, analysis.mitosis_map
    whole, roi = Region(0, 0, report.slide.width, report.slide.height), analysis.roi
    expected = report.counts.expected
    rule = None if expected is None else expected.figure_count
    candidates = None
    if expected is not None and rule is not None:
        # Another threshold changes which of them count, and not what was found.
        candidates = CountedCandidates.from_report(
            [*report.detections, *report.outside], [*expected.below_threshold, *expected.outside], rule, bounds
        )
    # Of those below the threshold, the likely ones are candidates that have a name.
    unnamed = [] if candidates is None else [row for row in candidates.below if not _is_named(report, row)]
    others = _hold_named(bounds, split.others) if said.decision is not None else {}

    def apply(one: ReviewDecision) -> ReviewedFigures:
        limited = _limit_decision(one, bounds)
        return apply_decision(limited, split.counted, others, unnamed, report.atypical_threshold)

    return CountingInput(
        centres=find_centres(list(split.counted.values())),
        tiles=tiles,
        lattice=lattice,
        area=find_counted_area(analysis, bounds),
        within=whole if roi is None else roi.bounds.intersection(whole),
        tile_blocks=report.settings.tile_px // report.settings.stride_px,
        calibration=None if expected is None else expected.calibration,
        screened=report.settings.map_shows == "screening scores",
        candidates=candidates,
        review=None if said.decision is None else apply(said.decision),
        readers=[apply(one) for one in said.readers],
        bounded_by=bounds.name_bounds(roi=roi is not None, quality=analysis.quality, qc=report.settings.qc),
        marks=mark_figures(list(split.counted.values()), report.atypical_threshold),
    )


def _is_named(report: Report, row: tuple[float, float, float]) -> bool:
    return report.candidates_from is not None and row[2] >= report.candidates_from


def _count_tiles(report: Report, centres: NDArray[np.float64], step: float) -> list[TileResult]:
    pitch = step * (report.settings.tile_px // report.settings.stride_px)
    by_tile = figures_by_tile(centres, find_cells(report.tiles, pitch), pitch)
    return [tile.model_copy(update={"mitotic_count": n}) for tile, n in zip(report.tiles, by_tile, strict=True)]


def _quality(analysis: Analysis, centres: NDArray[np.float64]) -> Quality | None:
    """Quality as it was, but for how many of the figures that are left are masked."""
    stated, mask = analysis.report.quality, analysis.quality
    if stated is None or mask is None:
        return stated
    return stated.model_copy(update={"figures_masked": int(mask.holds(centres).sum())})
