"""The figures of an evaluation's report."""

import numpy as np
from matplotlib.axes import Axes

from training.evaluation.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    DrawnFigure,
    draw_figure,
    format_number,
    legend_above,
    replace_undefined,
    shorten_name,
)
from training.evaluation.summary import Calibration, Detected, EvaluationSummary, SubTiles

RATE_LIMITS = (-0.02, 1.02)
"""Of an axis of shares: 0 to 1, and room for half a mark."""


def draw(summary: EvaluationSummary) -> list[DrawnFigure]:
    """Every figure for which the summary holds figures, in the order of the report."""
    drawn = [] if summary.detection is None else _of_detections(summary.detection, summary.counts.area_mm2)
    if summary.sub_tiles is not None and summary.sub_tiles.roc:
        drawn.append(_roc(summary.sub_tiles))
    if summary.sub_tiles is not None and summary.sub_tiles.precision_recall:
        drawn.append(_precision_recall(summary.sub_tiles))
        drawn.append(_reliability(summary.sub_tiles.calibration, "sub-tile-reliability", "sub-tile scores", "positive"))
    return drawn


def _of_detections(detection: Detected, area_mm2: float) -> list[DrawnFigure]:
    drawn = [_per_slide(detection)]
    if any(point.sensitivity is not None for point in detection.froc):
        drawn.append(_froc(detection, area_mm2))
    if detection.calibration.bins:
        drawn.append(_reliability(detection.calibration, "reliability", "detection probabilities", "labelled figures"))
    return drawn


def _per_slide(detection: Detected) -> DrawnFigure:
    rows = detection.per_slide

    def plot(axes: Axes) -> None:
        heights = np.arange(len(rows))
        axes.plot(replace_undefined(r.precision for r in rows), heights - 0.2, "s", color=BLUE, label="precision")
        axes.plot(replace_undefined(r.recall for r in rows), heights, "^", color=ORANGE, label="recall")
        axes.plot(replace_undefined(r.f1 for r in rows), heights + 0.2, "o", color=GREEN, label="F1")
        # A slide's name is data: a dollar sign in it is no formula.
        axes.set_yticks(heights, [shorten_name(r.slide) for r in rows], parse_math=False)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.hlines(heights[1:] - 0.5, *RATE_LIMITS, color="#dddddd", linewidth=0.6)
        axes.set_xlim(*RATE_LIMITS)
        axes.set_xlabel(f"Rate at detection threshold {detection.threshold:g} (share, 0 to 1)")
        axes.set_ylabel("Slide")
        legend_above(axes)

    return DrawnFigure(
        "per-slide",
        "Precision, recall and F1 of each slide. A slide without cases of a rate has no mark for it.",
        f"Dot plot of precision, recall and F1 for {len(rows)} slides; the values are in the table by slide.",
        draw_figure(plot, width=6.4, height=1.3 + 0.34 * len(rows)),
    )


def _froc(detection: Detected, area_mm2: float) -> DrawnFigure:
    density = [point.false_positives_per_mm2 for point in detection.froc]
    sensitivity = replace_undefined(point.sensitivity for point in detection.froc)
    at = detection.counts

    def plot(axes: Axes) -> None:
        axes.plot(density, sensitivity, drawstyle="steps-post", color=BLUE)
        axes.plot(
            [at.false_positives / area_mm2],
            replace_undefined([at.recall.value]),
            "o",
            color=ORANGE,
            clip_on=False,
            zorder=3,
            label=f"detection threshold {detection.threshold:g}",
        )
        # Linear up to one false positive in the whole area, the least there can be, logarithmic from there.
        axes.set_xscale("symlog", linthresh=1 / area_mm2, linscale=0.3)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(0, 1.2 * max(*density, 10 / area_mm2))
        axes.set_ylim(*RATE_LIMITS)
        axes.set_xlabel("False positives per mm² (logarithmic scale)")
        axes.set_ylabel("Sensitivity (share of labelled figures)")
        legend_above(axes)

    return DrawnFigure(
        "froc",
        "FROC: share of figures found against false positives per mm², as the threshold falls.",
        f"FROC curve. At the detection threshold {format_number(at.recall.value)} of the figures are found with "
        f"{at.false_positives / area_mm2:.2f} false positives per square millimetre.",
        draw_figure(plot),
    )


def _reliability(calibration: Calibration, name: str, what: str, true: str) -> DrawnFigure:
    bins = calibration.bins

    def plot(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="perfect calibration")
        below = [max(b.observed - b.low, 0) for b in bins]
        above = [max(b.high - b.observed, 0) for b in bins]
        axes.errorbar(
            [b.mean_probability for b in bins],
            [b.observed for b in bins],
            yerr=(below, above),
            fmt="o-",
            color=BLUE,
            linewidth=1,
            capsize=2.5,
            label="observed, 95 % interval",
        )
        axes.set_xlim(*RATE_LIMITS)
        axes.set_ylim(*RATE_LIMITS)
        axes.set_xlabel(f"Mean of {what} (0 to 1)")
        axes.set_ylabel(f"Share that are {true} (0 to 1)")
        legend_above(axes)

    return DrawnFigure(
        name,
        f"Reliability of {what} in bins of equal count, with Wilson's 95 % intervals.",
        f"Reliability curve with {len(bins)} bins; expected calibration error "
        f"{format_number(calibration.expected_calibration_error)}.",
        draw_figure(plot),
    )


def _roc(sub_tiles: SubTiles) -> DrawnFigure:
    def plot(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="chance")
        axes.plot([p.fpr for p in sub_tiles.roc], [p.tpr for p in sub_tiles.roc], color=BLUE, label="sub-tile scores")
        rows = sub_tiles.rates
        axes.plot(
            replace_undefined(r.fpr.value for r in rows),
            replace_undefined(r.tpr.value for r in rows),
            "o",
            color=ORANGE,
            markersize=4,
            label="stated thresholds",
        )
        axes.set_xlim(*RATE_LIMITS)
        axes.set_ylim(*RATE_LIMITS)
        axes.set_xlabel("False positive rate (share of negative sub-tiles)")
        axes.set_ylabel("True positive rate (share of positive sub-tiles)")
        legend_above(axes)

    return DrawnFigure(
        "roc",
        "ROC of sub-tile scores, with the thresholds of the table of sub-tiles.",
        f"ROC curve of sub-tile scores; area under the curve {format_number(sub_tiles.auc)}.",
        draw_figure(plot),
    )


def _precision_recall(sub_tiles: SubTiles) -> DrawnFigure:
    points = sub_tiles.precision_recall
    share = sub_tiles.positives / (sub_tiles.positives + sub_tiles.negatives)

    def plot(axes: Axes) -> None:
        axes.plot(
            [p.recall for p in points],
            [p.precision for p in points],
            drawstyle="steps-post",
            color=BLUE,
            label="sub-tile scores",
        )
        axes.axhline(share, linestyle="--", color=GREY, linewidth=1, label="chance (share of positives)")
        axes.set_xlim(*RATE_LIMITS)
        axes.set_ylim(*RATE_LIMITS)
        axes.set_xlabel("Recall (share of positive sub-tiles)")
        axes.set_ylabel("Precision (share of sub-tiles kept)")
        legend_above(axes)

    return DrawnFigure(
        "precision-recall",
        "Precision against recall of sub-tile scores.",
        f"Precision-recall curve of sub-tile scores; average precision {format_number(sub_tiles.average_precision)}.",
        draw_figure(plot),
    )
