"""From a slide to its analysis. Start reading here."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import Roi
from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.quality.focus import Structure, is_measurable, measure_structure
from serving.quality.quality_check import QUALITY_CHECKS
from serving.scoring.analysis import Analysis, Overview
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.cascade import (
    CascadeRunner,
    FindingsCache,
    TileFindings,
    check_resumed_tiles,
    make_empty_structure,
)
from serving.scoring.detector import AnyDetector, OneStageDetector, boxes_card, counting_threshold, list_cards
from serving.scoring.mapping import map_probabilities, map_scores
from serving.scoring.merging import EDGE_MARGIN_UM, SubTileBoxes, merge
from serving.scoring.plan import SlidePlan, make_plan
from serving.scoring.quality_masking import find_masking
from serving.scoring.reading import ReadClock, read_ahead
from serving.scoring.reporting import Stopwatch, make_report
from serving.scoring.tiling import Tiling
from serving.scoring.verification import calibrate, verify_candidates
from serving.slides.slide import Slide
from serving.slides.squared import size_given, with_square_pixels

_T = TypeVar("_T")

DEFAULTS = ScoringOptions()
MIN_INSIDE = 0.25


def score_slide(
    slide: Slide,
    detector: AnyDetector,
    options: ScoringOptions = DEFAULTS,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    finished: Sequence[TileFindings] = (),
    on_finished: Callable[[Sequence[TileFindings]], None] | None = None,
    seen: FindingsCache | None = None,
) -> Analysis:
    """Find, merge and count the figures of a slide.

    Reader threads run ahead of inference; whatever fails first, in a reader, a model or `on_progress`, ends the
    analysis and is raised, after the readers have stopped.

    on_progress : called with (tiles done, tiles in all) after every tile; raise in it to stop the analysis
    finished : whole chunks, in order, that an earlier run on the same slide with the same options and models handed out;
        they are not scored again, and the result is that of a run without interruption
    on_finished : called with the tiles of each chunk once the models are done with them
    seen : what earlier analyses with other options found, whose tiles are neither read nor computed again

    Raises
    ------
    MitoserveError
        One of its kinds: no resolution, roi outside the slide, unreadable pixels, a model that fails.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    QUALITY_CHECKS.load()  # one that does not load is named before anything is scored
    model = list_cards(detector)[0].input
    if options.mpp is not None:
        slide = with_square_pixels(slide, size_given(slide, options.mpp))
    plan = make_plan(slide, options, model)
    check_resumed_tiles(finished, plan.tiles)
    clock = ReadClock()
    cascade = CascadeRunner(
        detector,
        screening_threshold(detector, options),
        lambda origins: _shows_slide(origins, slide, plan),
        (lambda _: make_empty_structure())
        if options.qc == "off"
        else partial(_structure, tiling=plan.tiling, mpp=model.mpp),
        list(finished),
        seen or FindingsCache(),
    )
    done = len(finished)

    def count_tile() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, len(plan.tiles))

    if on_progress is not None:
        on_progress(done, len(plan.tiles))
    pace = choose_batch_sizes(detector.provider)
    with read_ahead(
        slide,
        plan.frame,
        plan.tiles[done:],
        clock,
        readers=pace.readers,
        ahead=pace.ahead,
        instead=cascade.find_settled,
    ) as patches:
        raw = cascade.run(patches, count_tile, on_finished)
    radius = (boxes_card(detector).merge_radius_um or 0.0) / plan.frame.work_mpp
    # A GPU judges candidates while masks are drawn: neither knows of the other. A processor has no core to spare for that.
    with ThreadPoolExecutor(1, thread_name_prefix="masks") as pool:
        draw = partial(_time_call, find_masking, plan, cascade.tiles)
        drawing = pool.submit(draw) if options.qc != "off" and pace.chunks > 1 else None
        raw = _inside_slide(raw, plan, slide)
        merged = merge(raw, radius=radius, window=model.window_px, margin=EDGE_MARGIN_UM / model.mpp)
        judged, verify_s = _verify_and_calibrate(merged, plan, slide, detector)
        inferred = time.perf_counter()
        masking, masking_s = (None, 0.0) if options.qc == "off" else drawing.result() if drawing else draw()
    placed = _place_on_slide(judged, plan, slide, options)
    threshold = options.threshold if options.threshold is not None else counting_threshold(list_cards(detector))
    likely = placed.probabilities >= threshold
    screened = not isinstance(detector, OneStageDetector)
    lattice = map_scores(plan, cascade.tiles) if screened else map_probabilities(plan, slide, raw.detections)
    report: Report = make_report(
        slide,
        detector,
        options,
        plan,
        tiles=cascade.tiles,
        figures=placed[likely],
        unlikely=placed[~likely],
        lattice=lattice,
        masking=masking,
        watch=Stopwatch(
            started_at=started_at,
            started=started,
            inferred=inferred,
            read_s=clock.read_s,
            wait_s=clock.wait_s,
            screen_s=cascade.seconds.screen,
            detect_s=cascade.seconds.detect + verify_s,
            quality_s=None if masking is None else cascade.seconds.quality + masking_s,
        ),
    )
    overview = plan.tissue.overview
    mask = None if masking is None else masking.mask
    return Analysis(report, lattice, Overview(overview, slide.width / overview.shape[1]), mask)


def _time_call(compute: Callable[..., _T], *given: Any) -> tuple[_T, float]:
    """What it gives, and the seconds that it took."""
    started = time.perf_counter()
    found = compute(*given)
    return found, time.perf_counter() - started


def screening_threshold(detector: AnyDetector, options: ScoringOptions) -> float:
    """The screening score from which Det looks at a sub-tile; -inf for all of them, and where nothing is screened."""
    chosen = list_cards(detector)[0].screening_threshold
    return chosen.score if options.cascade and chosen is not None else -np.inf


def _structure(pixels: NDArray[np.uint8], *, tiling: Tiling, mpp: float) -> Structure:
    """How sharp a patch is, by blocks of the map; empty where the models' pixels are not those that focus is judged in."""
    if not is_measurable(mpp):
        return make_empty_structure()
    margin = tiling.margin_px
    inside = pixels if margin is None else pixels[margin : margin + tiling.tile_px, margin : margin + tiling.tile_px]
    return measure_structure(inside, tiling.block_px)


def _shows_slide(origins: NDArray[np.float32], slide: Slide, plan: SlidePlan) -> NDArray[np.bool_]:
    """Which windows, of a one-stage detector without their margins, overlap the slide. origins : float32, shape (N, 2), work px."""
    tiling, scale = plan.tiling, plan.frame.scale
    margin, side = (0, tiling.window_px) if tiling.margin_px is None else (tiling.margin_px, tiling.stride_px)
    low, high = (origins + margin) * scale, (origins + margin + side) * scale
    return np.asarray((high > 0).all(1) & (low[:, 0] < slide.width) & (low[:, 1] < slide.height))


def _inside_slide(raw: SubTileBoxes, plan: SlidePlan, slide: Slide) -> SubTileBoxes:
    """Boxes cut at the slide's border, without those of mirrored pixels, before they merge with what they mirror.

    A figure at the border and its mirror picture may share one box: that of which a quarter is inside stays.
    """
    boxes, size = raw.detections.boxes, np.asarray((slide.width, slide.height), np.float32) / plan.frame.scale
    cut = boxes.clip(0, np.tile(size, 2)).astype(np.float32)
    area, inside = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, cut))
    kept = inside >= MIN_INSIDE * area
    detections = Detections(cut, raw.detections.probabilities, raw.detections.scores)
    return replace(raw, detections=detections[kept], sub_tile=raw.sub_tile[kept])


def _verify_and_calibrate(
    merged: Detections, plan: SlidePlan, slide: Slide, detector: AnyDetector
) -> tuple[Detections, float]:
    """Candidates with the verifier's probability, where there is one, calibrated as the last card says; the seconds it took."""
    last = list_cards(detector)[-1]
    if isinstance(detector, OneStageDetector):
        return calibrate(merged, last), 0.0
    card = detector.verification_card
    started, verify_s = time.perf_counter(), 0.0
    if card is not None:
        merged = verify_candidates(merged, slide, plan.frame, detector, card)
        verify_s = time.perf_counter() - started
    return calibrate(merged, last), verify_s


def _place_on_slide(found: Detections, plan: SlidePlan, slide: Slide, options: ScoringOptions) -> Detections:
    """Candidates with boxes in level-0 px, of those that are centred in the slide and in the roi."""
    boxes = plan.frame.boxes_to_level0(found.boxes)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, slide.width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, slide.height)
    found = Detections(boxes, found.probabilities, found.scores)
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return found[kept & _in_roi(options.roi, found)]


def _in_roi(roi: Roi | None, found: Detections) -> NDArray[np.bool_]:
    return np.ones(len(found), np.bool_) if roi is None else roi.contains(found.centres.astype(np.float64))
