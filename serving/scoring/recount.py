"""A stored result counted again with other settings: hotspots, profile, threshold, review. No model runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import RequestError
from serving.core.geometry import Region, Roi
from serving.core.options import CountingOptions
from serving.core.report import SCHEMA_VERSION, DetectionResult, Quality, Report, TileResult
from serving.scoring.analysis import Analysis
from serving.scoring.area import Area
from serving.scoring.counting import CountingInput, count, figures_by_tile, find_cells, resolve_counting
from serving.scoring.expected import CountedCandidates
from serving.scoring.quality_masking import exclude_masked_tissue
from serving.scoring.reporting import analysis_id
from serving.scoring.reviewed import ReviewDecision, apply_decision, find_centres, name_objects
from serving.scoring.tissue import tissue_in


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
    fields: Sequence[tuple[float, float]] = (),
) -> Analysis:
    """The analysis with its counts, hotspots and id as `options` ask; what the models found stays.

    threshold : detections and candidates from it up count; None for the analysis's own
    decision : of reviewers; where it is given, all counts are stated after review, too
    fields : middles (x, y), level-0 px, of windows that are counted where they are

    Raises
    ------
    RequestError
        If an option is out of range, or the threshold is below what the result holds: what was not kept cannot come back.
    """
    report = analysis.report
    counted, others = _split(report, threshold)
    detections = list(counted.values())
    centres = find_centres(detections)
    tiles = _count_tiles(report, centres, analysis.mitosis_map.step)
    counting = resolve_counting(options, threshold=threshold)
    result = count(_gather(analysis, tiles, counted, others, decision), counting, fields)
    settings = report.settings.model_copy(update={"counting": counting})
    changed: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "analysis_id": analysis_id(
            report.slide, report.models, settings, methods=None if report.quality is None else report.quality.methods
        ),
        "settings": settings,
        "quality": _quality(analysis, centres),
        "tiles": tiles,
        "detections": detections,
        "candidates": list(others.values()),
        "counts": result.counts,
        "hotspots": result.hotspots,
        "fields": result.fields,
        "review": result.review,
        "warnings": list(dict.fromkeys([*report.warnings, *result.warnings])),
    }
    return replace(analysis, report=report.model_copy(update=changed))


def find_analysed_area(analysis: Analysis) -> Area:
    """Tissue that was analysed, found again in the stored overview."""
    report = analysis.report
    info, roi = report.slide, _roi(report)
    mask = tissue_in(analysis.overview.pixels, info.width, info.height, info.mpp, roi)
    mask = exclude_masked_tissue(mask, analysis.quality, report.settings.qc)
    return Area(mask.tissue & mask.analysed, mask.step_x, mask.step_y)


def _split(report: Report, threshold: float | None) -> tuple[dict[str, DetectionResult], dict[str, DetectionResult]]:
    """What counts at the threshold and what does not, by the names that reviews call them."""
    own, least = find_own_threshold(report), find_least_threshold(report)
    if threshold is not None and not least <= threshold <= 1:
        raise RequestError(
            f"`threshold` is {threshold:g}; this result holds what was seen from {least:g} up: give {least:g} to 1, or "
            "start an analysis with a lower one"
        )
    named = name_objects(report)
    if threshold is None or threshold == own:  # rounding might take what is just below it for figures
        counted = {name: found for name, found in named.items() if name.startswith("detection-")}
    else:
        counted = {name: found for name, found in named.items() if found.probability >= threshold}
    return counted, {name: found for name, found in named.items() if name not in counted}


def _gather(
    analysis: Analysis,
    tiles: list[TileResult],
    counted: dict[str, DetectionResult],
    others: dict[str, DetectionResult],
    decision: ReviewDecision | None,
) -> CountingInput:
    report, lattice = analysis.report, analysis.mitosis_map
    whole, roi = Region(0, 0, report.slide.width, report.slide.height), _roi(report)
    expected = report.counts.expected
    below = [] if expected is None else expected.below_threshold
    rule = None if expected is None else expected.figure_count
    # Of those below the threshold, the likely ones are candidates that have a name.
    unnamed = [row for row in below if not _is_named(report, row)]
    return CountingInput(
        centres=find_centres(list(counted.values())),
        tiles=tiles,
        lattice=lattice,
        area=find_analysed_area(analysis),
        within=whole if roi is None else roi.bounds.intersection(whole),
        tile_blocks=report.settings.tile_px // report.settings.stride_px,
        calibration=None if expected is None else expected.calibration,
        screened=report.settings.map_shows == "screening scores",
        # Another threshold changes which of them count, and not what was found.
        candidates=None if rule is None else CountedCandidates.from_report(report.detections, below, rule),
        review=None if decision is None else apply_decision(decision, counted, others, unnamed),
    )


def _is_named(report: Report, row: tuple[float, float, float]) -> bool:
    return report.candidates_from is not None and row[2] >= report.candidates_from


def _count_tiles(report: Report, centres: NDArray[np.float64], step: float) -> list[TileResult]:
    pitch = step * (report.settings.tile_px // report.settings.stride_px)
    by_tile = figures_by_tile(centres, find_cells(report.tiles, pitch), pitch)
    return [tile.model_copy(update={"mitotic_count": n}) for tile, n in zip(report.tiles, by_tile, strict=True)]


def _roi(report: Report) -> Roi | None:
    return None if report.settings.roi is None else Roi(tuple(report.settings.roi))


def _quality(analysis: Analysis, centres: NDArray[np.float64]) -> Quality | None:
    """Quality as it was, but for how many of the figures that are left are masked."""
    stated, mask = analysis.report.quality, analysis.quality
    if stated is None or mask is None:
        return stated
    return stated.model_copy(update={"figures_masked": int(mask.holds(centres).sum())})
