"""Figures 2 and 3 of the paper from the outcomes of the grid, as SVG and PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serving.core.words import RESEARCH_USE
from training.models.heads.boxes import DET_THRESHOLDS
from training.models.heads.scores import REG_THRESHOLDS
from training.paper.grid import RATIOS, Sizes, job_name, ratio_name
from training.paper.outcome import Rate, Seeds
from training.paper.tables import DET_MODELS, compute_rates

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")


def draw_figures(seeds: Seeds, positive: NDArray[np.bool_], sizes: Sizes, folder: Path) -> list[Path]:
    """Write figure-2 and figure-3 to `folder`; the paths of the PNG files."""
    with mpl.rc_context(
        {"svg.hashsalt": "mitoserve", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        pictures = {"figure-2": _figure_2(seeds, positive, sizes), "figure-3": _figure_3(seeds, positive)}
        for name, figure in pictures.items():
            figure.supxlabel(RESEARCH_USE, fontsize=6, color="#595959", x=0.99, ha="right")
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png", dpi=150)
    return [folder / f"{name}.png" for name in pictures]


def _figure_2(seeds: Seeds, positive: NDArray[np.bool_], sizes: Sizes) -> Figure:
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    rate = compute_rates(seeds, positive)
    models: tuple[tuple[str, float], ...] = (("Reg", 0.6), ("Det", 0.95), ("Det-WL", 0.95))
    ticks = np.arange(len(sizes.events))
    for (model, threshold), colour in zip(models, COLOURS, strict=False):
        rates = [rate(job_name(model, events=e), threshold) for e in sizes.events]
        left.plot(ticks, [100 * r.tpr for r in rates], "o-", color=colour, label=f"{model} ({threshold:g}), TPR")
        left.plot(ticks, [100 * r.fpr for r in rates], "s--", color=colour, label=f"{model} ({threshold:g}), FPR")
    left.set_xticks(ticks, ["all" if e is None else f"{e:,}" for e in sizes.events])
    left.set(xlabel="events in training", ylabel="sub-tiles, %", ylim=(-3, 103), title="Training events")
    _legend_below(left)
    counts = {"0 (Reg)": job_name("Reg")}
    counts |= {f"{n:,}": job_name("Reg-NS", negatives=f"{n}neg") for n in sizes.negatives}
    counts["as many as events"] = job_name("Reg-NS", negatives="1to1")
    _stars(middle, counts, seeds, positive, "Negatives, all events")
    ratios = {f"{r:g}:1": job_name("Reg-NS", negatives=ratio_name(r)) for r in RATIOS}
    _stars(right, {"0:1 (Reg)": job_name("Reg"), **ratios}, seeds, positive, "Negatives per positive")
    return figure


def _figure_3(seeds: Seeds, positive: NDArray[np.bool_]) -> Figure:
    figure = Figure(figsize=(5.6, 5.6), layout="constrained")
    axes = figure.subplots()
    rate = compute_rates(seeds, positive)
    for model, colour in zip(DET_MODELS, COLOURS, strict=False):
        job = job_name(model, negatives="1to1" if "NS" in model else "")
        _line(axes, [rate(job, t) for t in DET_THRESHOLDS], "o", colour, model)
    for ratio, colour in zip((1.0, 4.0), COLOURS[4:], strict=False):
        job = job_name("Reg-NS", negatives=ratio_name(ratio))
        _line(axes, [rate(job, t) for t in REG_THRESHOLDS], "*", colour, f"Reg-NS {ratio:g}:1")
    _dress(axes, "Thresholds of the detectors")
    return figure


def _stars(axes: Axes, jobs: Mapping[str, str], seeds: Seeds, positive: NDArray[np.bool_], title: str) -> None:
    rate = compute_rates(seeds, positive)
    for (label, job), colour in zip(jobs.items(), COLOURS, strict=False):
        _line(axes, [rate(job, t) for t in REG_THRESHOLDS], "*", colour, label)
    _dress(axes, title)


def _line(axes: Axes, rates: Sequence[Rate], marker: str, colour: str, label: str) -> None:
    x, y = [100 * r.fpr for r in rates], [100 * r.tpr for r in rates]
    axes.plot(x, y, marker=marker, color=colour, label=label, linewidth=0.8, clip_on=False)


def _dress(axes: Axes, title: str) -> None:
    axes.plot([0, 100], [0, 100], ":", color="#999999", linewidth=0.8)
    axes.set(xlabel="FPR, % of sub-tiles", ylabel="TPR, % of sub-tiles", xlim=(0, 100), ylim=(0, 100), title=title)
    axes.set_aspect("equal")
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    """Outside the plot, where it hides no point."""
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False, columnspacing=1.2)
