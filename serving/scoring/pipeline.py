"""From a slide to its analysis. Start reading here."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import numpy as np

from serving.core.detections import Detections
from serving.core.options import ScoringOptions
from serving.core.report import Report, SegmentedRegions
from serving.quality.quality_check import QUALITY_CHECKS
from serving.scoring.analysis import Analysis, MitosisMap, Overview
from serving.scoring.atypia import classify_figures
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.cascade import StageSeconds
from serving.scoring.counting_settings import resolve_counting
from serving.scoring.detector import (
    AnyDetector,
    counting_threshold,
    find_atypia,
    find_fusion,
    find_segmenter,
    list_cards,
    list_members,
)
from serving.scoring.detector_run import DetectorRun, lies_in_roi, plan_members, split_finished, triage_threshold
from serving.scoring.fusion import find_places, fuse
from serving.scoring.plan import SlidePlan
from serving.scoring.preliminary import Preliminary, PreliminaryCounts
from serving.scoring.quality_masking import find_masking
from serving.scoring.regions import segment_tissue_classes
from serving.scoring.reporting import CANDIDATES_FROM, Stopwatch, analysed_region, describe_slide, make_report
from serving.scoring.tile_findings import FindingsCache, TileFindings
from serving.scoring.verification import calibrate
from serving.slides.colours import with_srgb
from serving.slides.slide import Slide
from serving.slides.squared import size_given, with_square_pixels

_T = TypeVar("_T")

DEFAULTS = ScoringOptions()


def score_slide(
    slide: Slide,
    detector: AnyDetector,
    options: ScoringOptions = DEFAULTS,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    finished: Sequence[TileFindings] = (),
    on_finished: Callable[[Sequence[TileFindings]], None] | None = None,
    seen: FindingsCache | None = None,
    on_preliminary: Callable[[Preliminary], None] | None = None,
) -> Analysis:
    """Find, merge and count the figures of a slide.

    The detectors of an ensemble see the slide one after the other; what they found is then fused.

    Reader threads run ahead of inference; whatever fails first, in a reader, a model or `on_progress`, ends the
    analysis and is raised, after the readers have stopped.

    on_progress : called with (tiles done, tiles in all), of all detectors, after every tile; raise in it to stop the analysis
    finished : whole chunks, in order, that an earlier run on the same slide with the same options and models handed out;
        they are not scored again, and the result is that of a run without interruption
    on_finished : called with the tiles of each chunk once the models are done with them
    seen : what earlier analyses with other options found, whose tiles are neither read nor computed again
    on_preliminary : called with what is known so far, of the first detector: after each chunk and after `on_finished`, and, where
        tiles are computed one by one, between as often as figures are counted again

    Raises
    ------
    MitoserveError
        One of its kinds: no resolution, roi outside the slide, unreadable pixels, a model that fails, no triage model for a
        fast analysis.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    QUALITY_CHECKS.load()  # one that does not load is named before anything is scored
    light = triage_threshold(detector, options)
    slide = _as_asked(slide, options)
    members = list_members(detector)
    plans = plan_members(members, slide, options)
    plan = next(iter(plans.values()))
    # Refuses regions of another slide before anything is read.
    counting = resolve_counting(options.counting, describe_slide(slide, plan))
    done, total = len(finished), sum(len(own.tiles) for own in plans.values())

    def show_progress() -> None:
        if on_progress is not None:
            on_progress(done, total)

    # Before the figures: what is known of them while they are found is counted in these regions too.
    regions, regions_s = _time_call(_find_regions, slide, plan, detector, show_progress)
    counting = resolve_counting(options.counting, describe_slide(slide, plan), regions=regions)
    parts = split_finished(finished, [len(own.tiles) for own in plans.values()])
    runs = {
        name: DetectorRun(
            member,
            slide,
            plans[name],
            options,
            finished=part,
            seen=seen,
            measures_focus=options.qc != "off" and plans[name] is plan,
        )
        for (name, member), part in zip(members.items(), parts, strict=True)
    }
    first, of_all = next(iter(runs.values())), options.threshold if len(runs) == 1 else None

    def count_tile() -> None:
        nonlocal done
        done += 1
        show_progress()

    preliminary = PreliminaryCounts(
        plan,
        counting,
        analysed_region(slide, options),
        gather=first.cascade.gather,
        find_figures=lambda raw: first.find_preliminary(raw, of_all),
        tell=on_preliminary,
    )

    def keep_chunk(chunk: Sequence[TileFindings]) -> None:
        if on_finished is not None:
            on_finished(chunk)
        preliminary.note(first.tiles)

    show_progress()
    pace = choose_batch_sizes(detector.provider)
    threshold = options.threshold if options.threshold is not None else counting_threshold(list_cards(detector))
    atypia, atypia_s = find_atypia(detector), 0.0
    raw = first.run(count_tile, keep_chunk, on_part=preliminary.note_part)
    # A GPU judges candidates while masks are drawn: neither knows of the other. A processor has no core to spare for that.
    with ThreadPoolExecutor(1, thread_name_prefix="masks") as pool:
        draw = partial(_time_call, find_masking, plan, first.tiles)
        drawing = pool.submit(draw) if options.qc != "off" and pace.chunks > 1 else None
        found = {
            name: run.find_candidates(raw if run is first else run.run(count_tile, keep_chunk))
            for name, run in runs.items()
        }
        lattice = first.draw_map(raw)
        placed = _fuse(found, runs, lattice, detector)
        placed = placed[lies_in_roi(options, placed)]
        if atypia is not None:
            # What the report does not hold one by one is not asked about.
            ask = partial(classify_figures, mpp=plan.frame.mpp, least=min(threshold, CANDIDATES_FROM))
            placed, atypia_s = _time_call(ask, placed, slide, atypia)
        inferred = time.perf_counter()
        masking, masking_s = (None, 0.0) if options.qc == "off" else drawing.result() if drawing else draw()
    likely = placed.probabilities >= threshold
    spent = sum((run.cascade.seconds for run in runs.values()), StageSeconds())
    verified = [run.verify_s for run in runs.values() if run.verify_s is not None]
    report: Report = make_report(
        slide,
        detector,
        options,
        plan,
        tiles=first.tiles,
        figures=placed[likely],
        unlikely=placed[~likely],
        lattice=lattice,
        masking=masking,
        regions=regions,
        watch=Stopwatch(
            started_at=started_at,
            started=started,
            inferred=inferred,
            read_s=sum(run.clock.read_s for run in runs.values()),
            wait_s=sum(run.clock.wait_s for run in runs.values()),
            screen_s=spent.screen,
            detect_s=spent.detect + sum(verified),
            verify_s=sum(verified) if verified else None,
            quality_s=None if masking is None else spent.quality + masking_s,
            triage_s=None if light is None else spent.triage,
            atypia_s=None if atypia is None else atypia_s,
            regions_s=None if regions is None else regions_s,
            detectors_s={name: run.seconds for name, run in runs.items()} if len(runs) > 1 else None,
        ),
    )
    overview = plan.tissue.overview
    shown = Overview(overview, slide.width / overview.shape[1])
    return Analysis(report, lattice, shown, None if masking is None else masking.mask)


def _as_asked(slide: Slide, options: ScoringOptions) -> Slide:
    """The slide with the colours and the resolution that the options state."""
    if options.colours == "srgb":
        slide = with_srgb(slide)
    return slide if options.mpp is None else with_square_pixels(slide, size_given(slide, options.mpp))


def _find_regions(
    slide: Slide, plan: SlidePlan, detector: AnyDetector, on_batch: Callable[[], None]
) -> SegmentedRegions | None:
    """What the regions model says of the slide; None without one."""
    segmenter = find_segmenter(detector)
    return None if segmenter is None else segment_tissue_classes(slide, plan, segmenter, on_batch=on_batch)


def _time_call(compute: Callable[..., _T], *given: Any) -> tuple[_T, float]:
    """What it gives, and the seconds that it took."""
    started = time.perf_counter()
    found = compute(*given)
    return found, time.perf_counter() - started


def _fuse(
    found: Mapping[str, Detections], runs: Mapping[str, DetectorRun], lattice: MitosisMap, detector: AnyDetector
) -> Detections:
    """What one detector found, or what all detectors of an ensemble found, each figure once; level-0 px."""
    rule = find_fusion(detector)
    if rule is None:
        return next(iter(found.values()))
    places = find_places({one.name: found[one.name] for one in rule.detectors}, rule.distance_um / lattice.mpp)
    fused = fuse(found, {name: run.looked_at(places.centres) for name, run in runs.items()}, places, rule)
    scores = np.where(np.isnan(fused.scores), lattice.score_at(fused.centres), fused.scores).astype(np.float32)
    return calibrate(replace(fused, scores=scores), list_cards(detector)[-1])
