"""The report of an analysis, and the id that its inputs give it."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import numpy as np
import onnxruntime
import openslide

from serving import __version__
from serving.core.detections import Detections
from serving.core.geometry import Region
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.pixelsize import PixelSize
from serving.core.report import (
    SCHEMA_VERSION,
    DetectionResult,
    ModelInfo,
    PublishedReason,
    Report,
    Settings,
    SlideInfo,
    Software,
    TileResult,
    Timing,
    Tissue,
)
from serving.quality.quality_check import QUALITY_CHECKS
from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.cascade import TileFindings
from serving.scoring.counting import CountingInput, count, figures_by_tile, resolve_counting
from serving.scoring.detector import AnyDetector, counting_threshold, list_cards
from serving.scoring.expected import CountedCandidates
from serving.scoring.plan import SlidePlan
from serving.scoring.quality_masking import (
    QualityMasking,
    exclude_masked_figures,
    exclude_masked_tissue,
    make_quality_section,
    quality_warnings,
)
from serving.scoring.tiling import Tiling
from serving.scoring.tissue import METHOD, TissueMask
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
    quality_s: float | None


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
) -> Report:
    """Everything that an analysis found, in the published schema.

    figures, unlikely : candidates from the threshold up and below it, level-0 px, also in what is masked
    """
    frame, everything = plan.frame, figures
    mask, quality = plan.tissue, None
    if masking is not None:
        mask = exclude_masked_tissue(plan.tissue, masking.mask, options.qc)
        figures = exclude_masked_figures(everything, masking.mask, options.qc)
        quality = make_quality_section(
            masking,
            plan.tissue,
            frame.mpp,
            masked=int(masking.mask.holds(figures.centres.astype(np.float64)).sum()),
            dropped=len(everything) - len(figures),
        )
        unlikely = exclude_masked_figures(unlikely, masking.mask, options.qc)
    models, settings = _models(list_cards(detector), options), _settings(list_cards(detector), options, frame.work_mpp)
    results = _tiles(plan, mask, lattice, figures)
    whole = Region(0, 0, slide.width, slide.height)
    analysed = whole if options.roi is None else options.roi.bounds.intersection(whole)
    detections = [_detection(figures, i) for i in range(len(figures))]
    rule = list_cards(detector)[-1].figure_count
    found = CountingInput(
        centres=figures.centres.astype(np.float64),
        tiles=results,
        lattice=lattice,
        area=Area(mask.tissue & mask.analysed, mask.step_x, mask.step_y),
        within=analysed,
        tile_blocks=plan.tiling.blocks,
        calibration=list_cards(detector)[0].count_calibration,
        screened=settings.map_shows == "screening scores",
        candidates=None if rule is None else CountedCandidates.from_report(detections, _below(unlikely), rule),
    )
    counted = count(found, resolve_counting(options.counting))
    counts, warnings = counted.counts, list(counted.warnings)
    applied = models[-1].thresholds["detection"]
    if quality is not None:
        warnings += quality_warnings(quality, options.qc, frame.area_mm2(plan.tissue.area_px))
    info = SlideInfo(
        name=slide.name,
        sha256=slide.sha256,
        width=slide.width,
        height=slide.height,
        mpp=round(frame.mpp, 6),
        mpp_source=plan.mpp_source,
        vendor=slide.vendor,
        bounds=slide.bounds,
        stored_scale=None if slide.stored_scale == (1.0, 1.0) else slide.stored_scale,
    )
    return Report(
        analysis_id=analysis_id(
            info,
            models,
            settings,
            find_rounding(detector.provider),
            methods=None if quality is None else quality.methods,
        ),
        slide=info,
        models=models,
        settings=settings,
        tissue=Tissue(
            method=METHOD,
            mask_mpp=round(plan.tissue.mpp, 4),
            area_mm2=counts.tissue_area_mm2,
            tiles_total=plan.tiles_total,
            tiles_scored=len(tiles),
        ),
        quality=quality,
        tiles=results,
        detections=detections,
        candidates=[
            seen for i in range(len(unlikely)) if (seen := _detection(unlikely, i)).probability >= CANDIDATES_FROM
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


def analysis_id(
    slide: SlideInfo,
    models: list[ModelInfo],
    settings: Settings,
    rounded_to: str | None = None,
    *,
    methods: Mapping[str, str] | None = None,
) -> str:
    """The same for the same pixels, models, settings and rounding, whatever the file is called and wherever it runs.

    methods : of quality control, by reason; those that every Mitoserve has go with its version
    """
    added = {reason: method for reason, method in (methods or {}).items() if reason not in get_args(PublishedReason)}
    inputs = {
        "schema": SCHEMA_VERSION,
        "software": __version__,
        "slide": [slide.sha256, slide.mpp, slide.mpp_source, *([slide.stored_scale] if slide.stored_scale else [])],
        "models": [m.model_dump() for m in models],
        "settings": settings.model_dump(),
        **({"rounded_to": rounded_to} if rounded_to else {}),
        **({"quality_checks": added} if added else {}),
    }
    return "a-" + hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def answers(report: Report, options: ScoringOptions, cards: Sequence[ModelCard], *, rounded: str | None = None) -> bool:
    """Whether the slide of a stored report, scored again by these models with these options, gives the same report.

    cards : of the cascade, in the order in which its models see a slide; rounded : see `batch_sizes.find_rounding`
    """
    if (report.slide.mpp_source == "override") != (options.mpp is not None):
        return False
    if options.mpp is not None:
        used = zip(PixelSize.from_mpp(options.mpp), report.slide.file_px_um, strict=True)
        if any(abs(asked - side) > 1e-6 for asked, side in used):
            return False
    settings = _settings(cards, options, report.settings.work_mpp)
    methods = None if options.qc == "off" else QUALITY_CHECKS.methods()
    return report.analysis_id == analysis_id(report.slide, _models(cards, options), settings, rounded, methods=methods)


def _models(cards: Sequence[ModelCard], options: ScoringOptions) -> list[ModelInfo]:
    *before, last = cards
    infos = [_info(card, _passes(card, last, options)) for card in before]
    probability = options.threshold if options.threshold is not None else counting_threshold(cards)
    return [*infos, _info(last, {"detection": probability})]


def _passes(card: ModelCard, last: ModelCard, options: ScoringOptions) -> dict[str, float]:
    """From what a model on, others look at what it found."""
    if card.task == "screening":
        passed = card.screening_threshold
        return {"screening": passed.score} if passed is not None and options.cascade else {}
    # What a later model judges again is a candidate here.
    return {"candidate": last.candidate_probability or 0.0}


def _info(card: ModelCard, thresholds: dict[str, float]) -> ModelInfo:
    return ModelInfo(name=card.name, version=card.version, sha256=card.sha256(), thresholds=thresholds)


def _settings(cards: Sequence[ModelCard], options: ScoringOptions, work_mpp: float) -> Settings:
    tiling = Tiling.from_input(cards[0].input)
    return Settings(
        cascade=options.cascade,
        roi=None if options.roi is None else list(options.roi.points),
        min_tissue_fraction=options.min_tissue_fraction,
        tile_px=tiling.tile_px,
        window_px=2 * tiling.block_px,
        stride_px=tiling.block_px,
        work_mpp=round(work_mpp, 6),
        counting=resolve_counting(options.counting),
        qc=options.qc,
        map_shows="screening scores" if cards[0].task == "screening" else "highest probabilities",
    )


def _tiles(plan: SlidePlan, mask: TissueMask, lattice: MitosisMap, figures: Detections) -> list[TileResult]:
    tiling = plan.tiling
    counts = figures_by_tile(figures.centres, [tile.cell for tile in plan.tiles], tiling.tile_px * plan.frame.scale)
    results = []
    for planned, found in zip(plan.tiles, counts, strict=True):
        # The first row and column of the map lie before the slide.
        left, top = (1 + number * tiling.blocks for number in planned.patch.cell)
        grid = lattice.scores[top : top + tiling.blocks - 1, left : left + tiling.blocks - 1]
        results.append(
            TileResult(
                x=planned.region.x,
                y=planned.region.y,
                width=planned.region.width,
                height=planned.region.height,
                tissue_fraction=round(mask.fraction(planned.region), 4),
                scores=[[None if np.isnan(v) else round(float(v), DECIMALS) for v in line] for line in grid],
                max_score=round(float(np.nanmax(grid)), DECIMALS),
                mitotic_count=found,
            )
        )
    return results


def _below(unlikely: Detections) -> list[tuple[float, float, float]]:
    """Centre and probability of candidates below the threshold, rounded as detections are."""
    centres = unlikely.centres.astype(np.float64).round(2).tolist()
    probabilities = unlikely.probabilities.astype(np.float64).round(DECIMALS).tolist()
    return [(x, y, p) for (x, y), p in zip(centres, probabilities, strict=True)]


def _detection(figures: Detections, i: int) -> DetectionResult:
    x1, y1, x2, y2 = (float(v) for v in figures.boxes[i])
    return DetectionResult(
        x=round(x1, 2),
        y=round(y1, 2),
        width=round(x2 - x1, 2),
        height=round(y2 - y1, 2),
        probability=round(float(figures.probabilities[i]), DECIMALS),
        score=round(float(figures.scores[i]), DECIMALS),
    )


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
    )
