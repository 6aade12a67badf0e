"""mitosis-map.png: the slide with its scores, figures and hotspot, for people."""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from serving.exports.colours import colour_map, legend_bar
from serving.scoring.analysis import Analysis
from serving.wsi.modelcard import RESEARCH_USE

SIDE_PX = 1200
"""Longer side of the drawn slide."""
MAX_ENLARGEMENT = 4.0
"""Small fields are enlarged at most so much; beyond, they only blur."""
SCORE_RANGE = (0.0, 1.0)
"""A whole figure seen by all labelers scores 1."""
_PAD, _HEADER, _FOOTER, _LEGEND = 24, 92, 44, 150
_INK, _PAPER, _MUTED = (25, 25, 30), (255, 255, 255), (95, 95, 105)
_FIGURE, _HOTSPOT = (0, 255, 255), (0, 90, 180)
_MIN_WIDTH = 620
_OPACITY = 0.72


def to_png(analysis: Analysis) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    draw_map(analysis).save(buffer, "PNG", optimize=False)
    return buffer.getvalue()


def draw_map(analysis: Analysis) -> Image.Image:
    """Thumbnail, translucent scores, a ring a figure, the hotspot, legend, scale bar and what it all means."""
    report = analysis.report
    longer = max(report.slide.width, report.slide.height)
    overview_side = max(analysis.overview.pixels.shape[:2])
    side = min(SIDE_PX, overview_side * MAX_ENLARGEMENT)
    zoom = side / longer
    size = max(round(report.slide.width * zoom), 1), max(round(report.slide.height * zoom), 1)
    slide = Image.fromarray(analysis.overview.pixels).resize(size, Image.Resampling.LANCZOS)
    slide = _overlaid(slide, analysis, zoom)
    _draw_findings(slide, analysis, zoom)
    width = max(size[0] + _LEGEND, _MIN_WIDTH) + 2 * _PAD
    height = max(size[1], 300) + _HEADER + _FOOTER
    page = Image.new("RGB", (width, height), _PAPER)
    page.paste(slide, (_PAD, _HEADER))
    draw = ImageDraw.Draw(page)
    draw.rectangle((_PAD - 1, _HEADER - 1, _PAD + size[0], _HEADER + size[1]), outline=(190, 190, 195))
    _draw_header(draw, analysis)
    _draw_legend(page, draw, _PAD + size[0] + 24, zoom / report.slide.mpp)
    draw.text((_PAD, height - 30), RESEARCH_USE, fill=(160, 30, 30), font=_font(15))
    return page


def _overlaid(slide: Image.Image, analysis: Analysis, zoom: float) -> Image.Image:
    """The slide under its scores; each sub-tile colours the middle `step` of its window, and the clearer the higher."""
    lattice = analysis.mitosis_map
    scores = np.nan_to_num(lattice.scores, nan=0.0)
    share = np.clip((scores - SCORE_RANGE[0]) / (SCORE_RANGE[1] - SCORE_RANGE[0]), 0, 1)
    # The centre of sub-tile [0, 0] is half a window from its corner; a lattice pixel is `step` wide around that centre.
    offset = (lattice.window - lattice.step) / 2
    box = (-(lattice.x + offset) / lattice.step, -(lattice.y + offset) / lattice.step)
    pitch = lattice.step * zoom
    box = (*box, box[0] + slide.width / pitch, box[1] + slide.height / pitch)
    padded = np.pad(share, ((1, 2), (1, 2)))
    smooth = Image.fromarray(padded.astype(np.float32)).resize(
        slide.size, Image.Resampling.BILINEAR, box=_inside(tuple(v + 1 for v in box), padded)
    )
    value = np.clip(np.asarray(smooth), 0, 1)
    alpha = (_OPACITY * np.sqrt(value) * (value > 0.02))[..., None]
    blended = np.asarray(slide, np.float32) * (1 - alpha) + colour_map(value) * alpha
    return Image.fromarray(blended.astype(np.uint8))


def _inside(box: tuple[float, ...], array: NDArray[np.float32]) -> tuple[float, float, float, float]:
    height, width = array.shape
    left, top, right, bottom = box
    return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))


def _draw_findings(slide: Image.Image, analysis: Analysis, zoom: float) -> None:
    draw = ImageDraw.Draw(slide)
    for h in analysis.report.hotspots:
        corners = [v * zoom for v in (h.x, h.y, h.x + h.width, h.y + h.height)]
        draw.rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), outline=_HOTSPOT, width=3)
    for d in analysis.report.detections:
        x, y = (d.x + d.width / 2) * zoom, (d.y + d.height / 2) * zoom
        radius = max(math.hypot(d.width, d.height) / 2 * zoom, 6)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(0, 0, 0), width=4)
        draw.ellipse((x - radius + 1, y - radius + 1, x + radius - 1, y + radius - 1), outline=_FIGURE, width=2)


def _draw_header(draw: ImageDraw.ImageDraw, analysis: Analysis) -> None:
    report = analysis.report
    counts = report.counts
    density = "no tissue" if counts.per_mm2 is None else f"{counts.per_mm2:.1f} per mm² of tissue"
    noun = "mitotic figure" if counts.mitotic_figures == 1 else "mitotic figures"
    name = report.slide.name if len(report.slide.name) <= 60 else report.slide.name[:57] + "..."
    hot = "".join(f"  ·  hotspot of {h.area_mm2:.2f} mm²: {h.mitotic_figures}" for h in report.hotspots)
    models = ", ".join(f"{m.name} {m.version}" for m in report.models)
    draw.text((_PAD, 12), name, fill=_INK, font=_font(22))
    draw.text((_PAD, 40), f"{counts.mitotic_figures} {noun}  ·  {density}{hot}", fill=_INK, font=_font(17))
    draw.text(
        (_PAD, 64),
        f"{counts.tissue_area_mm2:.2f} mm² tissue  ·  {report.slide.mpp:g} µm/px  ·  {models}  ·  {report.analysis_id}",
        fill=_MUTED,
        font=_font(13),
    )


def _draw_legend(page: Image.Image, draw: ImageDraw.ImageDraw, x: int, px_per_um: float) -> None:
    y, height = _HEADER + 22, 130
    draw.text((x, _HEADER), "Reg-NS score", fill=_INK, font=_font(14))
    page.paste(legend_bar(18, height), (x, y))
    draw.rectangle((x - 1, y - 1, x + 18, y + height), outline=(120, 120, 125))
    for tick in (0.0, 0.5, 1.0):
        at = y + round(height * (1 - tick))
        draw.line((x + 18, at, x + 23, at), fill=_INK)
        draw.text((x + 28, at - 8), f"{tick:.1f}{'+' if tick == 1 else ''}", fill=_INK, font=_font(13))
    y += height + 16
    draw.ellipse((x + 2, y + 1, x + 16, y + 15), outline=(0, 0, 0), width=4)
    draw.ellipse((x + 3, y + 2, x + 15, y + 14), outline=_FIGURE, width=2)
    draw.text((x + 26, y), "mitotic figure", fill=_INK, font=_font(13))
    draw.rectangle((x + 1, y + 24, x + 17, y + 36), outline=_HOTSPOT, width=3)
    draw.text((x + 26, y + 22), "hotspot", fill=_INK, font=_font(13))
    length_um = _round_length(100 / px_per_um)
    length = length_um * px_per_um
    y += 62
    draw.rectangle((x, y, x + length, y + 5), fill=_INK)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    draw.text((x, y + 9), label, fill=_INK, font=_font(14))


def _round_length(at_most_um: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that fits."""
    power = 10 ** math.floor(math.log10(at_most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= at_most_um)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
