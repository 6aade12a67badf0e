"""One page that shows a summary: what whole slides take beside their floors, and what grows with a slide."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.core.words import RESEARCH_USE

COLOURS = {
    "plan": "#8d99ae",
    "wait": "#d1495b",
    "screen": "#00798c",
    "detect": "#66a182",
    "post": "#edae49",
    "read_floor": "#8d6b94",
    "models_floor": "#2e4057",
}
WORDS = {"wait": "waiting for pixels", "read_floor": "reading alone", "models_floor": "models alone"}
_STAGES = ("plan", "wait", "screen", "detect", "post")
_BAR_PX, _WIDTH_PX = 14, 560
_STYLE = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } .key { margin-right: 1rem; white-space: nowrap }"""
_COLUMNS = (
    "slide",
    "tiles",
    "sub-tiles/s",
    "wall / floor",
    "processor / floors",
    "models busy",
    "post",
    "s per tile",
    "peak MiB",
)
_READING = ("slide", "OpenSlide, Mpx/s a core", "as it is read, Mpx/s a core", "ratio", "same pixels")


def write_page(folder: Path, found: dict[str, Any]) -> Path:
    """The HTML page of a summary, which needs nothing beside itself."""
    slides: dict[str, dict[str, Any]] = found["slides"]
    machine = found["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    load = " ".join(f"{value:.1f}" for value in machine["load"])
    body = [
        "<h1>Speed of whole slides</h1>",
        f"<p>{html.escape(machine['processor'])}, {machine['cores']} cores, load {load}; Python {machine['python']}, "
        f"{html.escape(packages)}. Medians of {len(next(iter(slides.values()))['turns'])} interleaved turns.</p>",
        _key(),
        *(_bars(name, slide["seconds"], _longest(slides)) for name, slide in slides.items()),
        _table(_COLUMNS, [_row(name, slide) for name, slide in slides.items()]),
        "<h2>Reading on one core</h2>",
        _table(_READING, [_reading(name, slide["reading"]) for name, slide in slides.items()]),
        "<h2>What grows with the glass</h2><p>Each over the smallest slide's; without the plan, which looks at the whole slide once.</p>",
        _table(
            ("side, px", "time per tile", "processor time per tile", "peak memory"),
            [
                (f"{g['side']:,}", *(f"{g[k]:.3f}" for k in ("seconds_per_tile", "processor_per_tile", "peak")))
                for g in found["growth"]
            ],
        ),
        f"<p>{RESEARCH_USE}</p>",
    ]
    path = folder / "speed.html"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Speed</title><style>{_STYLE}</style>'
    path.write_text(head + "\n".join(body) + "</html>\n")
    return path


def _longest(slides: dict[str, dict[str, Any]]) -> float:
    kinds = ("wall", "read_floor", "models_floor")
    return max(float(slide["seconds"][kind]) for slide in slides.values() for kind in kinds)


def _key() -> str:
    spans = [
        f'<span class="key"><span style="color:{colour}">&#9632;</span> {WORDS.get(name, name)}</span>'
        for name, colour in COLOURS.items()
    ]
    return f"<p>{''.join(spans)}</p>"


def _bars(name: str, seconds: dict[str, float], longest: float) -> str:
    """The whole slide by its stages, and the two floors below it."""
    scale = _WIDTH_PX / longest
    shapes, x = [], 0.0
    for stage in _STAGES:
        shapes.append(_bar(x, 0, seconds[stage] * scale, COLOURS[stage]))
        x += seconds[stage] * scale
    for row, floor in enumerate(("models_floor", "read_floor"), 1):
        shapes.append(_bar(0, row, seconds[floor] * scale, COLOURS[floor]))
    height = 3 * _BAR_PX
    return (
        f"<h3>{html.escape(name)}: {seconds['wall']:.1f} s</h3>"
        f'<svg width="{_WIDTH_PX}" height="{height}" role="img" aria-label="stages of {html.escape(name)}">'
        f"{''.join(shapes)}</svg>"
    )


def _bar(x: float, row: int, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{row * _BAR_PX}" width="{width:.1f}" height="{_BAR_PX - 2}" fill="{colour}"/>'


def _row(name: str, slide: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        str(slide["tiles"]),
        f"{slide['sub_tiles_per_s']:.1f}",
        f"{slide['wall_to_floor']:.3f}",
        f"{slide['processor_to_floors']:.3f}",
        f"{100 * slide['busy']:.1f} %",
        f"{100 * slide['post_share']:.2f} %",
        f"{slide['seconds_per_tile']:.2f}",
        f"{slide['peak_mib']:.0f}",
    )


def _reading(name: str, reading: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{reading['openslide_mpx_per_s']:.0f}",
        f"{reading['direct_mpx_per_s']:.0f}",
        f"{reading['ratio']:.2f}",
        "yes" if reading["equal"] else "no",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f"<table><tr>{cells}</tr>{''.join(lines)}</table>"
