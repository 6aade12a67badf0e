"""How figures look, told apart without colour and legible in print, and how they become SVG."""

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"
"""Okabe and Ito's colours, which people with any colour vision can tell apart, and a grey for what is no measurement."""

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    # Letters as outlines: they look the same wherever the page is opened. The salt makes ids the same each time.
    "svg.fonttype": "path",
    "svg.hashsalt": "mitoserve",
}
LONGEST_NAME = 24


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """A figure with its words. alt : what it shows, for those who do not see it."""

    name: str
    caption: str
    alt: str
    figure: Figure

    def svg(self) -> str:
        """The figure as an SVG element for an HTML page, ids prefixed by the name: a page may hold several."""
        file = io.StringIO()
        with mpl.rc_context(STYLE):
            # Without metadata the file names no address and no date.
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            self.figure.savefig(file, format="svg", metadata=nothing)
        text = file.getvalue()
        element = text[text.index("<svg") :]
        return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{self.name}-", element)


def save_drawn(drawn: DrawnFigure, folder: Path) -> None:
    """Write a figure as `name`.svg and `name`.png."""
    with mpl.rc_context(STYLE):
        drawn.figure.savefig(folder / f"{drawn.name}.svg", metadata={"Date": None})
        drawn.figure.savefig(folder / f"{drawn.name}.png", dpi=150)


def draw_figure(plot: Callable[[Axes], None], *, width: float = 4.6, height: float = 3.6) -> Figure:
    """A figure with one plot. width, height : inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.add_subplot())
    return figure


def legend_above(axes: Axes) -> None:
    """Put the legend above the plot, where no curve can run through it."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, handletextpad=0.4, columnspacing=1.2)


def replace_undefined(values: Iterable[float | None]) -> list[float]:
    """Values with NaN, which leaves no mark, for those that are undefined."""
    return [float("nan") if value is None else value for value in values]


def format_number(value: float | None, digits: int = 3) -> str:
    """A number as text; n/a where it is undefined."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def shorten_name(name: str) -> str:
    """A name that leaves room for the plot; a table has it whole."""
    return name if len(name) <= LONGEST_NAME else f"{name[:12]}…{name[-11:]}"
