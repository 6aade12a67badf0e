"""A judgement in one picture: reliability, precision against recall, F1 against the threshold, and counts by group."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.drawing import BLUE, GREEN, GREY, ORANGE, STYLE, replace_undefined, shorten_name
from training.evaluation.judgement import JudgedSource, Judgement

_LINES = ((ORANGE, "--", "s"), (GREEN, "-.", "^"), ("#CC79A7", ":", "D"), ("#E69F00", (0, (5, 1)), "v"))
"""Colour, dashes and mark of each source: told apart without colour."""


def draw_judgement(judgement: Judgement, path: Path) -> None:
    """Write the picture as PNG."""
    plots: tuple[Callable[[Axes, Judgement], None], ...] = (_reliability, _precision_recall, _flatness, _counts)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 8.5), layout="constrained")
        for axes, plot in zip(figure.subplots(2, 2).flat, plots, strict=True):
            plot(axes, judgement)
        figure.suptitle(f"{judgement.title}. {judgement.research_use}", parse_math=False)
        figure.savefig(path, dpi=130, metadata={"Software": None})


def _sources(judgement: Judgement) -> list[tuple[JudgedSource, str, object, str]]:
    styles = cycle(_LINES)
    return [
        (judgement.pooled, BLUE, "-", "o"),
        *((source, *next(styles)) for source in judgement.sources),
    ]


def _reliability(axes: Axes, judgement: Judgement) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for source, colour, dashes, mark in _sources(judgement):
        bins = source.candidates.bins
        axes.plot(
            [b.mean_probability for b in bins],
            [b.observed for b in bins],
            marker=mark,
            markersize=4,
            color=colour,
            linestyle=dashes,
            label=source.name,
        )
    low = judgement.pooled.candidates.bins
    axes.errorbar(
        [b.mean_probability for b in low],
        [b.observed for b in low],
        yerr=([max(b.observed - b.low, 0) for b in low], [max(b.high - b.observed, 0) for b in low]),
        fmt="none",
        color=BLUE,
        capsize=2,
    )
    axes.set(xlabel="Mean calibrated probability", ylabel="Share that are figures", title="Reliability")
    axes.legend()


def _precision_recall(axes: Axes, judgement: Judgement) -> None:
    for source, colour, dashes, mark in _sources(judgement):
        points = source.precision_recall
        axes.plot(
            [p.recall for p in points],
            [p.precision for p in points],
            color=colour,
            linestyle=dashes,
            label=source.name,
        )
        axes.plot(
            replace_undefined([source.recall.value]), replace_undefined([source.precision.value]), mark, color=colour
        )
    axes.set(
        xlabel="Recall",
        ylabel="Precision",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
        title="Precision and recall; marks: as chosen",
    )


def _flatness(axes: Axes, judgement: Judgement) -> None:
    for source, colour, dashes, _ in _sources(judgement):
        curve = source.flatness.curve
        axes.plot([p.moved for p in curve], replace_undefined(p.f1 for p in curve), color=colour, linestyle=dashes)
    within = judgement.pooled.flatness.within
    axes.axvspan(-within, within, color=GREY, alpha=0.15)
    axes.set(xlabel="Threshold moved by", ylabel="F1", ylim=(0, 1.02), title="F1 where every threshold is off")


def _counts(axes: Axes, judgement: Judgement) -> None:
    groups = judgement.pooled.groups
    places = np.arange(len(groups))
    axes.plot([g.figures for g in groups], places, "k|", markersize=14, label="labelled")
    axes.plot([g.count.counted for g in groups], places - 0.15, "s", color=ORANGE, label="counted")
    expected = [g.count.expected for g in groups]
    ranges = (
        [max(g.count.expected - g.count.expected_low, 0) for g in groups],
        [max(g.count.expected_high - g.count.expected, 0) for g in groups],
    )
    axes.errorbar(expected, places + 0.15, xerr=ranges, fmt="o", color=BLUE, capsize=2, label="expected, 95 % interval")
    axes.set_yticks(places, [shorten_name(g.group) for g in groups], parse_math=False)
    axes.set(xlabel="Figures", title="Counts by group")
    axes.legend()
