"""What stands around the mitosis map: words above and below it, legend and scale bar beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from serving.core.counts import CountComponent, Counts
from serving.core.report import Report
from serving.exports.colours import legend_bar
from serving.exports.figures import count_shown, describe_review, list_hotspots

PAD = 24
"""Px of paper around everything."""
LEGEND_WIDTH, LEGEND_HEIGHT = 170, 300
MIN_TEXT_WIDTH = 620
"""A narrow slide's page is wide enough for its words."""
FIGURE, HOTSPOT, ROI = (0, 230, 255), (0, 90, 200), (40, 40, 45)
_INK, _MUTED, _WARNING, _RESEARCH = (25, 25, 30), (95, 95, 105), (150, 90, 0), (160, 30, 30)
_LEADING = 1.5
_BAR_PX = 110

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text; a "²" in it is drawn as a raised 2, since Pillow's own font has no such sign and no "µ"."""

    text: str
    size: int
    colour: Colour

    @property
    def height(self) -> int:
        """Px to the next line."""
        return round(self.size * _LEADING)


def header_lines(report: Report, width: int) -> list[TextLine]:
    """The slide's name, its counts, and what they were made with, in lines of at most `width` px."""
    counts = _counts(report)
    noun = "mitotic figure" if counts.mitotic_figures == 1 else "mitotic figures"
    density = "no tissue" if counts.per_mm2 is None else f"{counts.per_mm2:.1f} per mm² of tissue"
    result = [f"{counts.mitotic_figures} {noun}", density]
    if counts.atypical is not None:
        result.append(f"{counts.atypical.figures} of {counts.atypical.of} atypical")
    if counts.interval is not None:
        result.append(f"95 % interval {counts.interval.low:.0f} to {counts.interval.high:.0f} (between tiles)")
    result += [
        f"{count_shown(h)} in hotspot {i} of {h.area_mm2:.2f} mm²" for i, h in enumerate(list_hotspots(report), 1)
    ]
    if counts.component is not None:
        result.append(component_line(counts.component))
    if counts.expected is not None:
        result.append(f"{counts.expected.mitotic_figures:.1f} expected {counts.expected.words}")
    models = [f"{model.name} {model.version}" for model in report.used_models]
    made = [
        f"{counts.tissue_area_mm2:.2f} mm² of tissue",
        f"{report.slide.mpp:g} microns per px",
        *models,
        *([] if report.triage_words is None else [report.triage_words]),
        report.analysis_id,
    ]
    return [
        TextLine(_shorten(report.slide.name, 22, width), 22, _INK),
        *(TextLine(text, 17, _INK) for text in _wrap(describe_review(report).split(), " ", 17, width)),
        *(TextLine(text, 17, _INK) for text in _wrap(result, "  ·  ", 17, width)),
        *(TextLine(text, 13, _MUTED) for text in _wrap(made, "  ·  ", 13, width)),
    ]


def _counts(report: Report) -> Counts:
    """The counts of the figures that are drawn."""
    return report.counts if report.review is None else report.review.counts


def component_line(component: CountComponent) -> str:
    """The estimate in words, with how far the next cut-offs are; a source goes with it elsewhere."""
    if component.estimate is None:
        return f"no mitotic-count component estimate: {component.reason}"
    away = [f"{component.to_next} more for the next"] if component.to_next is not None else []
    away += [f"{component.to_previous} fewer for the one before"] if component.to_previous is not None else []
    return f"mitotic-count component estimate: {component.estimate} ({component.profile}; {', '.join(away)})"


def footer_lines(report: Report, width: int) -> list[TextLine]:
    """The report's warnings and the research-use line."""
    component = _counts(report).component
    sources = [] if component is None else _wrap(f"Cut-offs: {component.source}".split(" "), " ", 13, width)
    warnings = [line for w in report.warnings for line in _wrap(f"Warning: {w}".split(" "), " ", 13, width)]
    research = _wrap(report.research_use.split(" "), " ", 15, width)
    return [
        *(TextLine(text, 13, _MUTED) for text in sources),
        *(TextLine(text, 13, _WARNING) for text in warnings),
        *(TextLine(text, 15, _RESEARCH) for text in research),
    ]


def text_height(lines: Sequence[TextLine]) -> int:
    """Px that the lines take, one below the other."""
    return sum(line.height for line in lines)


def draw_lines(draw: ImageDraw.ImageDraw, corner: tuple[int, int], lines: Sequence[TextLine]) -> None:
    """Draw lines below each other from the top left corner."""
    x, y = corner
    for line in lines:
        _write(draw, (x, y), line)
        y += line.height


def draw_legend(page: Image.Image, corner: tuple[int, int], report: Report, zoom: float) -> None:
    """Colour scale, symbols and scale bar. zoom : drawn px per level-0 px."""
    draw = ImageDraw.Draw(page)
    x, y = corner
    _write(draw, (x, y), TextLine(report.settings.score_name, 14, _INK))
    y += 26
    page.paste(legend_bar(18, _BAR_PX), (x, y))
    draw.rectangle((x - 1, y - 1, x + 18, y + _BAR_PX), outline=_MUTED)
    for tick, label in ((1.0, "1 or more"), (0.5, "0.5"), (0.0, "0")):
        at = y + round((_BAR_PX - 1) * (1 - tick))
        draw.line((x + 18, at, x + 23, at), fill=_INK)
        _write(draw, (x + 28, at - 8), TextLine(label, 13, _INK))
    y += _BAR_PX + 22
    ring(draw, x + 9, y + 8, 7, FIGURE)
    _write(draw, (x + 28, y), TextLine("mitotic figure", 13, _INK))
    if list_hotspots(report):
        y += 24
        draw.rectangle((x + 1, y + 2, x + 17, y + 14), outline=HOTSPOT, width=3)
        _write(draw, (x + 28, y), TextLine("hotspot", 13, _INK))
    if report.settings.roi is not None:
        y += 24
        draw.rectangle((x + 1, y + 2, x + 17, y + 14), outline=ROI, width=2)
        _write(draw, (x + 28, y), TextLine("analysed region", 13, _INK))
    _draw_scale_bar(draw, (x, y + 38), zoom / report.slide.mpp)


def ring(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    """A circle that stands out from both pale and dark tissue."""
    draw.ellipse((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), outline=_INK, width=1)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=2)


def _draw_scale_bar(draw: ImageDraw.ImageDraw, corner: tuple[int, int], px_per_um: float) -> None:
    x, y = corner
    length_um = _round_length(LEGEND_WIDTH * 0.7 / px_per_um)
    draw.rectangle((x, y, x + length_um * px_per_um, y + 4), fill=_INK)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} microns"
    _write(draw, (x, y + 9), TextLine(label, 13, _INK))


def _round_length(at_most_um: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that fits."""
    power = 10.0 ** math.floor(math.log10(at_most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= at_most_um)


def _write(draw: ImageDraw.ImageDraw, corner: tuple[int, int], line: TextLine) -> None:
    x, y = float(corner[0]), corner[1]
    for i, part in enumerate(line.text.split("²")):
        if i:
            draw.text((x, y - line.size * 0.1), "2", fill=line.colour, font=_font(_superscript_size(line.size)))
            x += _length("2", _superscript_size(line.size))
        draw.text((x, y), part, fill=line.colour, font=_font(line.size))
        x += _length(part, line.size)


def _wrap(parts: Sequence[str], between: str, size: int, width: int) -> list[str]:
    """The parts in as few lines as hold them; a part that is too long for a line is shortened."""
    lines: list[str] = []
    for part in (_shorten(part, size, width) for part in parts):
        longer = f"{lines[-1]}{between}{part}" if lines else ""
        if lines and _length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _shorten(text: str, size: int, width: int) -> str:
    """The text, its middle left out as far as it takes to fit: the ends of file names tell them apart."""
    if _length(text, size) <= width:
        return text
    keep = next(n for n in range(len(text) // 2, -1, -1) if _length(_without_middle(text, n), size) <= width)
    return _without_middle(text, keep)


def _without_middle(text: str, keep: int) -> str:
    return f"{text[:keep]}...{text[len(text) - keep :]}"


def _length(text: str, size: int) -> float:
    parts = text.split("²")
    return sum(_font(size).getlength(part) for part in parts) + (len(parts) - 1) * _font(
        _superscript_size(size)
    ).getlength("2")


def _superscript_size(size: int) -> int:
    return round(size * 0.65)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
