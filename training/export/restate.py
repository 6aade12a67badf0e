"""The same weights as another version, whose cards state more that was measured of them."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copy2

from serving.core.card_parts import CountCalibration
from serving.core.modelcard import ModelCard, load_card
from serving.core.options import CountingOptions
from serving.datasets.store import Picture
from serving.scoring.analysis import Analysis
from serving.scoring.int8 import INT8
from serving.scoring.recount import recount
from training.evaluation.cascade_figures import (
    EVERYWHERE,
    EXACT,
    ArithmeticComparison,
    CascadeFigures,
    compare_outcomes,
    version_folders,
)
from training.evaluation.count_calibration import fit_count_calibration, label_sub_tiles
from training.export.publishing import publish

SCREENING = "reg-ns"
TOLERATED = 0.25
"""How far off, as a share of the figures, a count on a slide may be whose labels its calibration has not seen."""


def restate(
    models: Path,
    version: str,
    new: str,
    figures: CascadeFigures,
    pictures: Sequence[Picture],
    *,
    data: str,
    say: Callable[[str], None] = print,
) -> None:
    """Publish every model of `version` as `new`, all cards with the figures.

    That of the screening model has a count calibration if it carries over from slide to slide.

    models : folder of <name>/<version>. figures : of `version`, over `pictures`. data : what those are

    Raises
    ------
    FileExistsError
        If a model has the new version already.
    FileNotFoundError
        If Reg-NS or Det has not the old one.
    """
    olds = version_folders(models, version).values()
    stated = dict(_card_figures(figures))
    calibration, counts = cross_calibrate(figures.outcomes[EXACT].analyses, pictures, data)
    if calibration is None:
        say("no count calibration: one fitted on the other slides is off by more than a quarter on a slide")
    with tempfile.TemporaryDirectory() as scratch:
        for old in olds:
            card = load_card(old)
            folder = Path(scratch) / card.name
            folder.mkdir()
            for name in card.files:
                copy2(old / name, folder / name)
            publish(folder, models / card.name / new, _card(card, new, stated, calibration, counts))
            say(f"{card.name} {new}")


def cross_calibrate(
    analyses: Sequence[Analysis], pictures: Sequence[Picture], data: str
) -> tuple[CountCalibration | None, dict[str, float | str]]:
    """The calibration of all pictures, and the counts of each slide by a calibration of the other slides, beside the truth.

    There is no calibration where one of those counts is off by more than `TOLERATED`: what does not hold on a slide that it
    has not seen does not hold on a user's.

    analyses : of `pictures`, in their order
    """
    labelled = [
        label_sub_tiles(a.mitosis_map, f.boxes(), width=a.report.slide.width, height=a.report.slide.height)
        for a, f in zip(analyses, pictures, strict=True)
    ]
    slides = sorted({f.patient for f in pictures})
    counts: dict[str, float | str] = {}
    total = raw = 0.0
    holds = len(slides) > 1
    for slide in slides:
        others = [part for part, f in zip(labelled, pictures, strict=True) if f.patient != slide]
        of_others = fit_count_calibration(others, slides=len(slides) - 1, data=data)
        own = [a for a, f in zip(analyses, pictures, strict=True) if f.patient == slide]
        expected = sum(estimate_count(a, of_others) for a in own)
        true = sum(len(f.boxes()) for f in pictures if f.patient == slide)
        holds = holds and abs(expected - true) <= TOLERATED * true
        counts[f"expected_count_{slide}_calibrated_on_the_others"] = f"{expected:.1f} of {true}"
        total, raw = total + expected, raw + sum(estimate_count(a, None) for a in own)
    counts["expected_count_all_slides_so"] = (
        f"{total:.1f} of {sum(len(f.boxes()) for f in pictures)}; uncalibrated {raw:.1f}"
    )
    return fit_count_calibration(labelled, slides=len(slides), data=data) if holds else None, counts


def estimate_count(analysis: Analysis, calibration: CountCalibration | None) -> float:
    """The expected count of an analysis under a calibration, as serving counts it."""
    report = analysis.report
    stated = report.counts.expected
    if stated is None:
        return 0.0
    counts = report.counts.model_copy(update={"expected": stated.model_copy(update={"calibration": calibration})})
    again = recount(replace(analysis, report=report.model_copy(update={"counts": counts})), CountingOptions())
    return 0.0 if again.report.counts.expected is None else again.report.counts.expected.mitotic_figures


def _card_figures(figures: CascadeFigures) -> Iterator[tuple[str, float | str]]:
    if INT8 in figures.outcomes:
        eight = compare_outcomes(figures, INT8)
        yield "int8_score_drift_mean_of_spread", round(eight.drift_mean, 4)
        yield "int8_score_drift_max_of_spread", round(eight.drift_max, 3)
        yield from _rates("int8", eight)
        yield "int8_processor_time_of_float32", round(eight.processor_share, 3)
    if EVERYWHERE in figures.outcomes:
        everywhere = compare_outcomes(figures, EVERYWHERE)
        yield from _rates("det_everywhere", everywhere)
        kept = f"{everywhere.shared} of {everywhere.true_positives}"
        yield "true_positives_of_det_everywhere_that_the_cascade_keeps", kept
        yield "cascade_processor_time_of_det_everywhere", round(1 / everywhere.processor_share, 3)


def _rates(prefix: str, way: ArithmeticComparison) -> Iterator[tuple[str, float | str]]:
    yield f"{prefix}_f1_cascade", round(way.f1, 4)
    yield f"{prefix}_f1_cascade_own_threshold", f"{way.best_f1:.4f} at {way.best_threshold:.3f}"
    yield f"{prefix}_average_precision_cascade", round(way.average_precision, 4)


def _card(
    card: ModelCard,
    version: str,
    stated: Mapping[str, float | str],
    calibration: CountCalibration | None,
    counts: Mapping[str, float | str],
) -> ModelCard:
    changed: dict[str, object] = {"version": version, "figures": {**card.figures, **stated}}
    if card.name == SCREENING:
        changed["count_calibration"] = calibration
        changed["figures"] = {**card.figures, **counts, **stated}
    return card.model_copy(update=changed)
