"""A stored result counted again with other settings: hotspots, profile, a higher threshold. No model runs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import RequestError
from serving.core.geometry import Region, Roi
from serving.core.options import CountingOptions
from serving.core.report import SCHEMA_VERSION, Quality
from serving.scoring.analysis import Analysis
from serving.scoring.area import Area
from serving.scoring.counting import CountingInput, count, figures_by_tile, find_cells, resolve_counting
from serving.scoring.expected import CountedCandidates
from serving.scoring.quality_masking import exclude_masked_tissue
from serving.scoring.reporting import analysis_id
from serving.scoring.tissue import tissue_in


def recount(analysis: Analysis, options: CountingOptions, *, threshold: float | None = None) -> Analysis:
    """The analysis with its counts, hotspots and id as `options` ask; what the models found stays.

    threshold : detections below it are left out; None keeps all

    Raises
    ------
    RequestError
        If an option is out of range, or the threshold is below the one that the analysis was made with: what was not kept
        cannot come back.
    """
    report, lattice = analysis.report, analysis.mitosis_map
    applied = report.models[-1].thresholds.get("detection", 0.0)
    if threshold is not None and not applied <= threshold <= 1:
        raise RequestError(
            f"`threshold` is {threshold:g}; this result holds detections from {applied:g} up: give {applied:g} to 1, or "
            "start an analysis with a lower one"
        )
    info, whole = report.slide, Region(0, 0, report.slide.width, report.slide.height)
    roi = None if report.settings.roi is None else Roi(tuple(report.settings.roi))
    mask = tissue_in(analysis.overview.pixels, info.width, info.height, info.mpp, roi)
    mask = exclude_masked_tissue(mask, analysis.quality, report.settings.qc)
    detections = [d for d in report.detections if threshold is None or d.probability >= threshold]
    centres = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in detections], np.float64).reshape(-1, 2)
    blocks = report.settings.tile_px // report.settings.stride_px
    pitch = lattice.step * blocks
    by_tile = figures_by_tile(centres, find_cells(report.tiles, pitch), pitch)
    tiles = [t.model_copy(update={"mitotic_count": n}) for t, n in zip(report.tiles, by_tile, strict=True)]
    expected = report.counts.expected
    found = CountingInput(
        centres=centres,
        tiles=tiles,
        lattice=lattice,
        area=Area(mask.tissue & mask.analysed, mask.step_x, mask.step_y),
        within=whole if roi is None else roi.bounds.intersection(whole),
        tile_blocks=blocks,
        calibration=None if expected is None else expected.calibration,
        candidates=None
        if expected is None or expected.figure_count is None
        # A higher threshold leaves out detections, and not what was found.
        else CountedCandidates.from_report(report.detections, expected.below_threshold, expected.figure_count),
    )
    counting = resolve_counting(options, threshold=threshold)
    counts, hotspots, warnings = count(found, counting)
    settings = report.settings.model_copy(update={"counting": counting})
    changed = {
        "schema_version": SCHEMA_VERSION,
        "analysis_id": analysis_id(
            info, report.models, settings, methods=None if report.quality is None else report.quality.methods
        ),
        "settings": settings,
        "quality": _quality(analysis, centres),
        "tiles": tiles,
        "detections": detections,
        "counts": counts,
        "hotspots": hotspots,
        "warnings": list(dict.fromkeys([*report.warnings, *warnings])),
    }
    return replace(analysis, report=report.model_copy(update=changed))


def _quality(analysis: Analysis, centres: NDArray[np.float64]) -> Quality | None:
    """Quality as it was, but for how many of the figures that are left are masked."""
    stated, mask = analysis.report.quality, analysis.quality
    if stated is None or mask is None:
        return stated
    return stated.model_copy(update={"figures_masked": int(mask.holds(centres).sum())})
