"""Which mitotic figures are atypical: each judged by a window of its own, and counted among those that count."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import AtypicalCount
from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.report import DetectionResult
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import Classifier
from serving.scoring.verification import judge_windows
from serving.slides.slide import Slide

Marks = NDArray[np.float64]
"""Of figures, shape (N,): 1 of an atypical one, 0 of another, NaN of one that no model saw."""


def classify_figures(
    found: Detections, slide: Slide, classifier: Classifier, *, mpp: float, least: float
) -> Detections:
    """The same with the calibrated probability that each likely enough one is atypical, NaN of the others.

    The windows have the resolution that the classifier's card states, whatever the detector sees.

    found : boxes in level-0 px. mpp : microns per level-0 px. least : probability of a figure from which it is asked
    """
    card = classifier.card
    frame = WorkFrame.from_mpp(mpp, card.input.mpp)
    asked = found.probabilities >= least
    centres = (found.centres[asked] / frame.scale).astype(np.float32)
    pace = choose_batch_sizes(classifier.provider)
    said = judge_windows(centres, slide, frame, card.input.window_px, classifier.classify, pace=pace)
    if card.probability_calibration is not None:
        said = card.probability_calibration.map.apply(said).astype(np.float32)
    atypical = np.full(len(found), np.nan, np.float32)
    atypical[asked] = said
    return replace(found, atypical=atypical)


def is_atypical(found: DetectionResult, threshold: float | None) -> bool | None:
    """Whether a figure is an atypical one; None of what no model saw. threshold : `Report.atypical_threshold`."""
    if threshold is None or found.atypical_probability is None:
        return None
    return found.atypical_probability >= threshold


def mark_figures(found: Sequence[DetectionResult | None], threshold: float | None) -> Marks | None:
    """Marks of figures in their order; None without an atypia model. Of what a reviewer added there is None in `found`."""
    if threshold is None:
        return None
    marks = (None if figure is None else is_atypical(figure, threshold) for figure in found)
    return np.asarray([np.nan if mark is None else float(mark) for mark in marks], np.float64)


def count_atypical(marks: Marks | None) -> AtypicalCount | None:
    """How many of the figures are atypical; None without an atypia model."""
    if marks is None:
        return None
    seen = marks[np.isfinite(marks)]
    figures = int(seen.sum())
    return AtypicalCount(figures=figures, of=len(seen), share=round(figures / len(seen), 4) if len(seen) else None)
