"""Evaluation of a cascade by serving's own `score_slide`: what is measured is what is served."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.options import ScoringOptions
from serving.core.report import Report
from serving.core.report_parts import CascadeMode
from serving.datasets.documents import read_document
from serving.datasets.pictures import open_picture
from serving.datasets.store import Picture
from serving.evaluation.metrics import FieldDetections, Rates, rates
from serving.scoring.analysis import Analysis
from serving.scoring.detector import Detector
from serving.scoring.hotspot import find_hotspots
from serving.scoring.matching import MATCH_RADIUS_UM
from serving.scoring.pipeline import score_slide
from serving.scoring.windows import CountingWindow, Disc, Rectangle
from training.data.fields import MPP

LOWEST = 0.001
"""Detections below this probability are not kept for the choice of a threshold."""


def analyse_picture(detector: Detector, picture: Picture, root: Path, *, cascade: CascadeMode = "exact") -> Analysis:
    """A picture as serving analyses it, with detections down to probability `LOWEST`.

    cascade : see `CascadeMode`
    """
    with open_picture(root / picture.path, name=picture.id) as slide:
        options = ScoringOptions(mpp=picture.mpp or slide.mpp or MPP, threshold=LOWEST, cascade=cascade)
        return score_slide(slide, detector, options)


def detect_in_picture(detector: Detector, picture: Picture, root: Path) -> FieldDetections:
    """Detections in a picture beside its truth, grouped by its slide."""
    return pair_with_truth(analyse_picture(detector, picture, root).report, picture.boxes(), group=picture.slide)


def pair_with_truth(report: Report, boxes: NDArray[np.float32], *, group: str) -> FieldDetections:
    """A report's detections beside the true boxes (float32, shape (M, 4), xyxy, level-0 px)."""
    detections = report.detections
    return FieldDetections(
        name=report.slide.name,
        group=group,
        mpp=report.slide.mpp,
        centres=np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in detections], np.float32).reshape(-1, 2),
        probabilities=np.asarray([d.probability for d in detections], np.float32),
        scores=np.asarray([d.score for d in detections], np.float32),
        truth=((boxes[:, :2] + boxes[:, 2:]) / np.float32(2)).reshape(-1, 2),
    )


def read_with_truth(report_path: Path, truth_path: Path) -> tuple[Report, NDArray[np.float32]]:
    """A served report and the true boxes (float32, shape (N, 4), xyxy, level-0 px) of a truth file (`mitotic_figures`).

    Raises
    ------
    ValueError
        If a file is not what it should be, or the two are of slides of different size.
    """
    report = read_document(report_path, Report)
    truth = json.loads(truth_path.read_text())
    if "mitotic_figures" not in truth:
        raise ValueError(f"{truth_path} has no mitotic_figures: a list of [x1, y1, x2, y2], level-0 px")
    if (truth.get("width"), truth.get("height")) != (report.slide.width, report.slide.height):
        raise ValueError(f"{truth_path} and {report_path} are of slides of different size")
    return report, np.asarray(truth["mitotic_figures"], np.float32).reshape(-1, 4)


def slide_rates(report: Report, boxes: NDArray[np.float32]) -> Rates:
    """A report's figures against the true boxes."""
    return rates([pair_with_truth(report, boxes, group="slide")], 0.0)


def print_rates(counts: Rates, out: Callable[[str], None] = print) -> None:
    """Precision, recall and F1 on one line."""
    out(
        f"precision {counts.precision:.3f}  recall {counts.recall:.3f}  F1 {counts.f1:.3f}  "
        f"({counts.true_positives} found, {counts.false_positives} false, {counts.false_negatives} missed; "
        f"one-to-one within {MATCH_RADIUS_UM} um)"
    )


def print_counts(report: Report, boxes: NDArray[np.float32], out: Callable[[str], None] = print) -> None:
    """The report's counts and hotspots beside the truth's: the true figures in each hotspot, and in the truth's own."""
    centres, counts = (boxes[:, :2] + boxes[:, 2:]).astype(np.float64) / 2, report.counts
    interval = counts.interval
    span = "no interval" if interval is None else f"95 % interval {interval.low:g} to {interval.high:g} between tiles"
    out(f"detected {counts.mitotic_figures} ({span}), true {len(boxes)}")
    if counts.expected is not None:
        out(f"expected {counts.expected.mitotic_figures:g} {counts.expected.words}")
    for rank, h in enumerate(report.hotspots, 1):
        window: CountingWindow = Disc(h.width / 2) if h.shape == "disc" else Rectangle(h.width, h.height)
        held = int(window.holds(np.asarray([[h.x, h.y]]), centres).sum())
        size = (report.slide.width, report.slide.height)
        best = find_hotspots(centres, window=window, size=size, number=1)
        most = int(window.holds(best, centres).sum())
        out(
            f"hotspot {rank} ({h.area_mm2:g} mm2, {h.shape}): {h.mitotic_figures} detected, {held} true in it; "
            f"the truth's own hotspot holds {most}"
        )


def group_by_slide(found: Sequence[FieldDetections]) -> dict[str, list[FieldDetections]]:
    """Fields grouped by slide, in order of name."""
    groups: dict[str, list[FieldDetections]] = {}
    for f in sorted(found, key=lambda f: (f.group, f.name)):
        groups.setdefault(f.group, []).append(f)
    return groups
