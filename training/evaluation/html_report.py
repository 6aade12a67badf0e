"""The report of an evaluation: one HTML file that loads nothing and prints well."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from training.evaluation.drawing import format_number
from training.evaluation.figures import draw
from training.evaluation.summary import EvaluationSummary, Measured


def render_html(summary: EvaluationSummary) -> str:
    """The page as text: every value from the summary escaped, figures as SVG within it."""
    # Escaping is on whatever the template's name ends in.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(shown=format_number, percent=_percent, share=_share, measured=_format_measured)
    template = environment.from_string(files("training.evaluation").joinpath("report.html.j2").read_text("utf-8"))
    return template.render(s=summary, figures={drawn.name: drawn for drawn in draw(summary)})


def write_html(summary: EvaluationSummary, path: Path) -> None:
    """Write the page to `path`."""
    path.write_text(render_html(summary), "utf-8")


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.1f} %"


def _share(figure: Measured) -> str:
    """A rate with its interval in per cent, e.g. `81.2 % (74.4 % to 86.1 %)`."""
    if figure.low is None or figure.high is None:
        return _percent(figure.value)
    return f"{_percent(figure.value)} ({_percent(figure.low)} to {_percent(figure.high)})"


def _format_measured(figure: Measured, digits: int = 3) -> str:
    """A value with its interval, e.g. `0.812 (0.744 to 0.861)`."""
    if figure.low is None or figure.high is None:
        return format_number(figure.value, digits)
    return f"{format_number(figure.value, digits)} ({format_number(figure.low, digits)} to {format_number(figure.high, digits)})"
