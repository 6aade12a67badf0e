"""What determines a report, models, settings and rounding, and the id that follows from it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from serving import __version__
from serving.core.counts import Counts, Hotspot, ReviewedCounts
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.pixelsize import PixelSize
from serving.core.report import (
    ATYPICAL,
    SCHEMA_VERSION,
    EnsembleInfo,
    EnsembleMember,
    Report,
    SegmentedClass,
    SegmentedRegions,
)
from serving.core.report_parts import ModelInfo, PublishedReason, Settings, SlideInfo
from serving.quality.quality_check import QUALITY_CHECKS
from serving.scoring.counting_settings import resolve_counting
from serving.scoring.detector import counting_threshold, find_atypia_card, find_map_card, find_regions_card
from serving.scoring.tiling import Tiling
from serving.scoring.triage import LOOK


def analysis_id(
    slide: SlideInfo,
    models: list[ModelInfo],
    settings: Settings,
    rounded_to: str | None = None,
    *,
    methods: Mapping[str, str] | None = None,
    atypia: ModelInfo | None = None,
    regions: ModelInfo | None = None,
) -> str:
    """The same for the same pixels, models, settings and rounding, whatever the file is called and wherever it runs.

    methods : of quality control, by reason; those that every Mitoserve has go with its version
    atypia : the model that says which figures are atypical; without one the id is what it was before there was any
    regions : the model that says where figures count, likewise; its outlines follow from it and are not part of the id
    """
    added = {reason: method for reason, method in (methods or {}).items() if reason not in get_args(PublishedReason)}
    inputs = {
        "schema": SCHEMA_VERSION,
        "software": __version__,
        "slide": [slide.sha256, slide.mpp, slide.mpp_source, *([slide.stored_scale] if slide.stored_scale else [])],
        "models": [m.model_dump() for m in models],
        # Stored colours leave the id what it was before there was a choice.
        "settings": _state_inputs(settings),
        **({"rounded_to": rounded_to} if rounded_to else {}),
        **({"look": LOOK} if settings.cascade_mode == "fast" else {}),
        **({"quality_checks": added} if added else {}),
        **({"atypia": atypia.model_dump()} if atypia else {}),
        **({"regions": regions.model_dump()} if regions else {}),
    }
    return "a-" + hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]


def _state_inputs(settings: Settings) -> dict[str, Any]:
    """Settings without what follows from other inputs, and without what was added to them since and is as it always was."""
    stated = settings.model_dump(exclude={"colours"} if settings.colours == "stored" else None)
    counting = stated["counting"]
    if counting is not None and counting["regions_by"] is None:
        del counting["regions_by"]
    elif counting is not None and counting["regions_by"] == "model":
        counting |= {"within": None, "exclude": None, "regions_sha256": None}
    return stated


def identify_counts(report: Report) -> str:
    """SHA-256 of what a signature stands for: analysis, way of counting, regions, verdicts, and the counts for each side.

    Intervals and expected counts follow from these, and another version of a library may round them otherwise: they are not in it.
    """
    counting, review = report.settings.counting, report.review
    if counting is not None and counting.threshold is None:  # the analysis's own, by whatever way it was asked for
        counting = counting.model_copy(update={"threshold": report.models[-1].thresholds.get("detection", 0.0)})
    stated = {
        "slide": report.slide.sha256,
        "models": [f"{model.name}@{model.version}" for model in report.used_models],
        "counting": None if counting is None else counting.model_dump(mode="json", exclude_defaults=True),
        "model": _state_counts(report.counts),
        "windows": [_state_window(window) for window in (*report.hotspots, *report.fields)],
        "review": None if review is None else _state_review(review),
        "readings": [[one.reader, one.reviewer, _state_review(one.review)] for one in report.readings],
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _state_counts(counts: Counts) -> list[int | float | str | None]:
    estimate = None if counts.component is None else counts.component.estimate
    return [counts.mitotic_figures, counts.tissue_area_mm2, estimate]


def _state_window(window: Hotspot) -> list[object]:
    sides = [one for one in (window.reviewed, *window.readings) if one is not None]
    return [
        window.shape,
        [window.x, window.y, window.width, window.height],
        window.mitotic_figures,
        [one.mitotic_figures for one in sides],
    ]


def _state_review(review: ReviewedCounts) -> list[object]:
    said = [[one.target, one.label, one.is_figure] for one in review.objects]
    windows = [_state_window(window) for window in review.hotspots]
    return [review.rule, review.reviewers, _state_counts(review.counts), windows, said]


def answers(report: Report, options: ScoringOptions, cards: Sequence[ModelCard], *, rounded: str | None = None) -> bool:
    """Whether the slide of a stored report, scored again by these models with these options, gives the same report.

    cards : of the release, see `list_released_cards`; rounded : see `batch_sizes.find_rounding`
    """
    if (report.slide.mpp_source == "override") != (options.mpp is not None):
        return False
    if options.mpp is not None:
        used = zip(PixelSize.from_mpp(options.mpp), report.slide.file_px_um, strict=True)
        if any(abs(asked - side) > 1e-6 for asked, side in used):
            return False
    # What a regions model would place follows from the slide: what it placed before stands for it.
    card = find_regions_card(cards)
    placed = None if card is None else place_nothing(card)
    settings = state_settings(cards, options, report.slide, report.settings.work_mpp, placed)
    methods = None if options.qc == "off" else QUALITY_CHECKS.methods()
    return report.analysis_id == analysis_id(
        report.slide,
        state_models(cards, options),
        settings,
        rounded,
        methods=methods,
        atypia=state_atypia(cards),
        regions=state_segmenter(cards),
    )


def state_models(cards: Sequence[ModelCard], options: ScoringOptions) -> list[ModelInfo]:
    """The models of a release that find figures, each with the thresholds of this analysis, as the report states them."""
    finders = [
        card
        for card in cards
        if card.task not in ("classification", "segmentation") and (card.task != "triage" or options.cascade == "fast")
    ]
    *before, last = finders
    infos = (
        [_info(card, _passes(card, last, options)) for card in before]
        if last.fusion is None
        else _pass_members(before, last, options)
    )
    probability = options.threshold if options.threshold is not None else counting_threshold(finders)
    return [*infos, _info(last, {"detection": probability})]


def _pass_members(cards: Sequence[ModelCard], last: ModelCard, options: ScoringOptions) -> list[ModelInfo]:
    """The models of the detectors of an ensemble; the last of each gives candidates to it."""
    infos: list[ModelInfo] = []
    for detector in [] if last.fusion is None else last.fusion.detectors:
        names = {model.name for model in detector.models}
        *before, final = [card for card in cards if card.name in names]
        infos += [_info(card, _passes(card, final, options)) for card in before]
        infos.append(_info(final, {"candidate": final.least_probability or 0.0}))
    return infos


def state_ensemble(cards: Sequence[ModelCard]) -> EnsembleInfo | None:
    """How the detectors among the models of a release are fused; None of one detector."""
    rule = next((card.fusion for card in cards if card.fusion is not None), None)
    if rule is None:
        return None
    mpp = {card.name: card.input.mpp for card in cards}
    total = sum(detector.weight for detector in rule.detectors)
    members = [
        EnsembleMember(
            name=detector.name,
            models=[model.label for model in detector.models],
            weight=round(detector.weight / total, 4),
            floor=detector.floor,
            mpp=next(mpp[model.name] for model in detector.models if model.name in mpp),
        )
        for detector in rule.detectors
    ]
    return EnsembleInfo(method=rule.method, distance_um=rule.distance_um, detectors=members)


def _passes(card: ModelCard, last: ModelCard, options: ScoringOptions) -> dict[str, float]:
    """From what a model on, others look at what it found."""
    if card.task == "screening":
        passed = card.screening_threshold
        return {"screening": passed.score} if passed is not None and options.cascade != "off" else {}
    if card.triage_threshold is not None:
        return {"triage": card.triage_threshold.probability}
    # What a later model judges again is a candidate here.
    return {"candidate": last.candidate_probability or 0.0}


def state_atypia(cards: Sequence[ModelCard]) -> ModelInfo | None:
    """The model among those of a release that says which figures are atypical, with its threshold."""
    card = find_atypia_card(cards)
    if card is None or card.atypical_threshold is None:
        return None
    return _info(card, {ATYPICAL: card.atypical_threshold.probability})


def state_segmenter(cards: Sequence[ModelCard]) -> ModelInfo | None:
    """The model among those of a release that says where figures count."""
    card = find_regions_card(cards)
    return None if card is None else _info(card, {})


def place_nothing(card: ModelCard) -> SegmentedRegions:
    """What a regions model says of a slide on which it finds none of its classes. card : its own."""
    classes = [
        SegmentedClass(name=one.name, use=one.use, area_mm2=0.0, outlines=[]) for one in card.tissue_classes or []
    ]
    return SegmentedRegions(model=_info(card, {}), mask_mpp=0.0, classes=classes)


def _info(card: ModelCard, thresholds: dict[str, float]) -> ModelInfo:
    return ModelInfo(name=card.name, version=card.version, sha256=card.sha256(), thresholds=thresholds)


def state_settings(
    cards: Sequence[ModelCard],
    options: ScoringOptions,
    slide: SlideInfo,
    work_mpp: float,
    regions: SegmentedRegions | None = None,
) -> Settings:
    """What the report states of how a slide is scored. work_mpp : um per work px. regions : of the regions model."""
    first = find_map_card(cards)
    tiling = Tiling.from_input(first.input)
    return Settings(
        cascade=options.cascade != "off",
        cascade_mode=options.cascade,
        roi=None if options.roi is None else list(options.roi.points),
        min_tissue_fraction=options.min_tissue_fraction,
        tile_px=tiling.tile_px,
        window_px=2 * tiling.block_px,
        stride_px=tiling.block_px,
        work_mpp=round(work_mpp, 6),
        counting=resolve_counting(options.counting, slide, regions=regions),
        qc=options.qc,
        colours=options.colours,
        map_shows="screening scores" if first.task == "screening" else "highest probabilities",
    )
