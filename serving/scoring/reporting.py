"""The report of an analysis, and the id that its inputs give it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import onnxruntime
import openslide
from numpy.typing import NDArray

from serving import __version__
from serving.core.detections import Detections
from serving.core.errors import MitoserveError
from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.core.report import ATYPICAL, DetectionResult, Report, SegmentedRegions, TileResult
from serving.core.report_parts import IccProfile, SlideInfo, Software, Timing, Tissue
from serving.scoring.analysis import MitosisMap
from serving.scoring.atypia import mark_figures
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.count_bounds import CountBounds
from serving.scoring.counting import count
from serving.scoring.counting_input import CountingInput, figures_by_tile
from serving.scoring.counting_settings import resolve_counting
from serving.scoring.detector import (
    AnyDetector,
    find_fusion,
    list_cards,
    list_released_cards,
)
from serving.scoring.expected import CountedCandidates
from serving.scoring.plan import SlidePlan
from serving.scoring.quality_masking import (
    QualityMasking,
    exclude_masked_figures,
    exclude_masked_tissue,
    make_quality_section,
    quality_warnings,
)
from serving.scoring.report_identity import analysis_id, state_atypia, state_ensemble, state_models, state_settings
from serving.scoring.reviewed import find_centres
from serving.scoring.tile_findings import TileFindings
from serving.scoring.tissue import METHOD, TissueMask
from serving.slides.colours import describe_profile
from serving.slides.slide import Slide

CANDIDATES_FROM = 0.05
"""Candidates of a smaller probability are not kept one by one: the nine in ten and more that no reviewer needs to see."""
DECIMALS = 5
"""Of scores and probabilities: below it, thread counts and processors change the last digits of a sum."""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Times of one analysis; `started` and `inferred` by `time.perf_counter`."""

    started_at: datetime
    started: float
    inferred: float
    read_s: float
    wait_s: float
    screen_s: float
    detect_s: float
    verify_s: float | None
    quality_s: float | None
    triage_s: float | None
    atypia_s: float | None
    regions_s: float | None
    detectors_s: dict[str, float] | None


def make_report(
    slide: Slide,
    detector: AnyDetector,
    options: ScoringOptions,
    plan: SlidePlan,
    *,
    tiles: list[TileFindings],
    figures: Detections,
    unlikely: Detections,
    lattice: MitosisMap,
    masking: QualityMasking | None,
    watch: Stopwatch,
    regions: SegmentedRegions | None = None,
) -> Report:
    """Everything that an analysis found, in the published schema.

    figures, unlikely : candidates from the threshold up and below it, level-0 px, also in what is masked
    regions : what the regions model says of the slide, where there is one
    """
    frame, everything = plan.frame, figures
    mask = None if masking is None else masking.mask
    figures, unlikely = (exclude_masked_figures(seen, mask, options.qc) for seen in (everything, unlikely))
    info = describe_slide(slide, plan)
    released = list_released_cards(detector)
    models, settings = state_models(released, options), state_settings(released, options, info, frame.work_mpp, regions)
    counting = resolve_counting(options.counting, info, regions=regions)
    bounds = CountBounds.from_counting(counting)
    # By the boxes as the report has them: whoever counts its result again finds the same inside.
    fusion = find_fusion(detector)
    names = [] if fusion is None else [one.name for one in fusion.detectors]
    likely = [_detection(figures, i, names) for i in range(len(figures))]
    inside = bounds.hold(find_centres(likely))
    figures = figures[inside]
    results = _tiles(plan, exclude_masked_tissue(plan.tissue, mask, options.qc), lattice, figures)
    detections = [one for one, held in zip(likely, inside, strict=True) if held]
    rule, atypia = list_cards(detector)[-1].figure_count, state_atypia(released)
    found = CountingInput(
        centres=figures.centres.astype(np.float64),
        tiles=results,
        lattice=lattice,
        area=bounds.find_area(plan.tissue, mask, options.qc),
        within=analysed_region(slide, options),
        tile_blocks=plan.tiling.blocks,
        calibration=list_cards(detector)[0].count_calibration,
        screened=settings.map_shows == "screening scores",
        candidates=None if rule is None else CountedCandidates.from_report(likely, _below(unlikely), rule, bounds),
        bounded_by=bounds.name_bounds(roi=options.roi is not None, quality=mask, qc=options.qc),
        marks=mark_figures(detections, None if atypia is None else atypia.thresholds[ATYPICAL]),
    )
    counted = count(found, counting)
    quality = None
    if masking is not None:
        quality = make_quality_section(
            masking,
            plan.tissue,
            frame.mpp,
            masked=int(masking.mask.holds(figures.centres.astype(np.float64)).sum()),
            dropped=len(everything) - len(likely),
        )
    counts, warnings = counted.counts, list(counted.warnings)
    applied = models[-1].thresholds["detection"]
    if quality is not None:
        warnings += quality_warnings(quality, options.qc, frame.area_mm2(plan.tissue.area_px))
    return Report(
        analysis_id=analysis_id(
            info,
            models,
            settings,
            find_rounding(detector.provider),
            methods=None if quality is None else quality.methods,
            atypia=atypia,
            regions=None if regions is None else regions.model,
        ),
        slide=info,
        models=models,
        atypia=atypia,
        regions=regions,
        ensemble=state_ensemble(released),
        settings=settings,
        tissue=Tissue(
            method=METHOD,
            mask_mpp=round(plan.tissue.mpp, 4),
            area_mm2=round(frame.area_mm2(CountBounds().find_area(plan.tissue, mask, options.qc).total), 4),
            tiles_total=plan.tiles_total,
            tiles_scored=len(tiles),
            **_count_sub_tiles(lattice, screened=settings.map_shows == "screening scores"),
        ),
        quality=quality,
        tiles=results,
        detections=detections,
        outside=[one for one, held in zip(likely, inside, strict=True) if not held],
        candidates=[
            seen
            for i in range(len(unlikely))
            if (seen := _detection(unlikely, i, names)).probability >= CANDIDATES_FROM
        ],
        candidates_from=min(CANDIDATES_FROM, applied),
        counts=counts,
        hotspots=counted.hotspots,
        warnings=[*plan.warnings, *warnings],
        timing=_timing(watch),
        software=Software(
            version=__version__,
            execution_provider=detector.provider,
            onnxruntime=onnxruntime.__version__,
            openslide=openslide.__library_version__,
            started_at=watch.started_at.isoformat(timespec="seconds"),
        ),
    )


def analysed_region(slide: Slide, options: ScoringOptions) -> Region:
    """The part of the slide, level-0 px, in which windows are placed: its whole, or the bounds of the roi."""
    whole = Region(0, 0, slide.width, slide.height)
    return whole if options.roi is None else options.roi.bounds.intersection(whole)


def describe_slide(slide: Slide, plan: SlidePlan) -> SlideInfo:
    """The slide as the report has it."""
    return SlideInfo(
        name=slide.name,
        sha256=slide.sha256,
        width=slide.width,
        height=slide.height,
        mpp=round(plan.frame.mpp, 6),
        mpp_source=plan.mpp_source,
        vendor=slide.vendor,
        bounds=slide.bounds,
        stored_scale=None if slide.stored_scale == (1.0, 1.0) else slide.stored_scale,
        icc_profile=_profile(slide),
    )


def _profile(slide: Slide) -> IccProfile | None:
    try:
        profile = slide.icc_profile
    except MitoserveError:  # what cannot be read of it stands in no way of its pixels
        return None
    if profile is None:
        return None
    facts = describe_profile(profile)
    return IccProfile(name=facts.name, sha256=facts.sha256, size=facts.size)


def _tiles(plan: SlidePlan, mask: TissueMask, lattice: MitosisMap, figures: Detections) -> list[TileResult]:
    tiling = plan.tiling
    counts = figures_by_tile(figures.centres, [tile.cell for tile in plan.tiles], tiling.tile_px * plan.frame.scale)
    results = []
    for planned, found in zip(plan.tiles, counts, strict=True):
        # The first row and column of the map lie before the slide.
        left, top = (1 + number * tiling.blocks for number in planned.patch.cell)
        inside = slice(top, top + tiling.blocks - 1), slice(left, left + tiling.blocks - 1)
        grid = lattice.scores[inside]
        results.append(
            TileResult(
                x=planned.region.x,
                y=planned.region.y,
                width=planned.region.width,
                height=planned.region.height,
                tissue_fraction=round(mask.fraction(planned.region), 4),
                scores=_rows(grid),
                triage=None if lattice.triage is None else _rows(lattice.triage[inside]),
                # Of a fast analysis Reg-NS may have looked at none of the tile's sub-tiles.
                max_score=round(float(np.nanmax(grid)), DECIMALS) if np.isfinite(grid).any() else 0.0,
                mitotic_count=found,
            )
        )
    return results


def _count_sub_tiles(lattice: MitosisMap, *, screened: bool) -> dict[str, int]:
    """How many sub-tiles there are and at how many Reg-NS looked; nothing where nothing is screened."""
    if not screened:
        return {}
    seen, shown = (int(np.isfinite(of).sum()) for of in (lattice.scores, lattice.combine()))
    return {"sub_tiles": shown, "sub_tiles_screened": seen}


def _rows(grid: NDArray[np.float32]) -> list[list[float | None]]:
    """Rounded, row by row; None for NaN."""
    return [[None if np.isnan(v) else round(float(v), DECIMALS) for v in line] for line in grid]


def _below(unlikely: Detections) -> list[tuple[float, float, float]]:
    """Centre and probability of candidates below the threshold, rounded as detections are."""
    centres = unlikely.centres.astype(np.float64).round(2).tolist()
    probabilities = unlikely.probabilities.astype(np.float64).round(DECIMALS).tolist()
    return [(x, y, p) for (x, y), p in zip(centres, probabilities, strict=True)]


def _detection(figures: Detections, i: int, names: Sequence[str]) -> DetectionResult:
    """One of the figures, as the report has it; `names` are of the detectors of an ensemble."""
    x1, y1, x2, y2 = (float(v) for v in figures.boxes[i])
    return DetectionResult(
        x=round(x1, 2),
        y=round(y1, 2),
        width=round(x2 - x1, 2),
        height=round(y2 - y1, 2),
        probability=round(float(figures.probabilities[i]), DECIMALS),
        score=round(float(figures.scores[i]), DECIMALS),
        atypical_probability=_round_known(figures.atypical, i),
        detectors=None if figures.by_detector is None else _name_detectors(figures.by_detector[i], names),
    )


def _name_detectors(said: NDArray[np.float32], names: Sequence[str]) -> dict[str, float]:
    """What the detectors that found a place say of it."""
    both = zip(names, said.tolist(), strict=True)
    return {name: round(value, DECIMALS) for name, value in both if not np.isnan(value)}


def _round_known(values: NDArray[np.float32] | None, i: int) -> float | None:
    return None if values is None or np.isnan(values[i]) else round(float(values[i]), DECIMALS)


def _timing(watch: Stopwatch) -> Timing:
    now = time.perf_counter()
    return Timing(
        read_s=round(watch.read_s, 3),
        screen_s=round(watch.screen_s, 3),
        detect_s=round(watch.detect_s, 3),
        post_s=round(now - watch.inferred, 3),
        wait_for_read_s=round(watch.wait_s, 3),
        wall_s=round(now - watch.started, 3),
        quality_s=None if watch.quality_s is None else round(watch.quality_s, 3),
        verify_s=None if watch.verify_s is None else round(watch.verify_s, 3),
        triage_s=None if watch.triage_s is None else round(watch.triage_s, 3),
        atypia_s=None if watch.atypia_s is None else round(watch.atypia_s, 3),
        regions_s=None if watch.regions_s is None else round(watch.regions_s, 3),
        detectors_s=None if watch.detectors_s is None else {n: round(s, 3) for n, s in watch.detectors_s.items()},
    )
