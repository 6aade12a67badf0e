"""mitosis-map.png: the slide with its scores, figures and hotspot, for people."""

import io
import math

import numpy as np
from PIL import Image, ImageDraw

from serving.exports.colours import colour_map, opacity
from serving.exports.export import EXPORTS, Export, whole
from serving.exports.figures import list_figures, list_hotspots
from serving.exports.map_margins import (
    FIGURE,
    HOTSPOT,
    LEGEND_HEIGHT,
    LEGEND_WIDTH,
    MIN_TEXT_WIDTH,
    PAD,
    ROI,
    draw_legend,
    draw_lines,
    footer_lines,
    header_lines,
    ring,
    text_height,
)
from serving.scoring.analysis import Analysis, MitosisMap

SIDE_PX = 1200
"""Longer side of the drawn slide."""
MAX_ENLARGEMENT = 4.0
"""Small fields are enlarged at most so much; beyond, they only blur."""
_PAPER, _FRAME = (255, 255, 255), (190, 190, 195)
_MIN_RING_PX = 7


def to_png(analysis: Analysis) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    draw_map(analysis).save(buffer, "PNG")
    return buffer.getvalue()


def draw_map(analysis: Analysis) -> Image.Image:
    """Slide, translucent scores, a ring a figure, the hotspot, legend, scale bar, and in words what it all means."""
    slide, zoom = _draw_slide(analysis)
    width = max(slide.width + LEGEND_WIDTH, MIN_TEXT_WIDTH) + 2 * PAD
    header = header_lines(analysis.report, width - 2 * PAD)
    footer = footer_lines(analysis.report, width - 2 * PAD)
    top = PAD + text_height(header)
    bottom = top + max(slide.height, LEGEND_HEIGHT) + PAD // 2
    page = Image.new("RGB", (width, bottom + text_height(footer) + PAD // 2), _PAPER)
    draw = ImageDraw.Draw(page)
    page.paste(slide, (PAD, top))
    draw.rectangle((PAD - 1, top - 1, PAD + slide.width, top + slide.height), outline=_FRAME)
    draw_lines(draw, (PAD, PAD // 2), header)
    draw_legend(page, (PAD + slide.width + PAD, top), analysis.report, zoom)
    draw_lines(draw, (PAD, bottom), footer)
    return page


def _draw_slide(analysis: Analysis) -> tuple[Image.Image, float]:
    """The slide with everything drawn on it, and its pixels per level-0 px."""
    report, pixels = analysis.report, analysis.overview.pixels
    side = min(SIDE_PX, max(pixels.shape[:2]) * MAX_ENLARGEMENT)
    zoom = side / max(report.slide.width, report.slide.height)
    size = max(round(report.slide.width * zoom), 1), max(round(report.slide.height * zoom), 1)
    slide = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    slide = _overlay_scores(slide, analysis.mitosis_map, zoom)
    _draw_findings(ImageDraw.Draw(slide), analysis, zoom)
    return slide, zoom


def _overlay_scores(slide: Image.Image, lattice: MitosisMap, zoom: float) -> Image.Image:
    """The slide under its scores, interpolated between the centres of sub-tiles, and the more opaque the higher."""
    scores = np.pad(np.clip(np.nan_to_num(lattice.combine(), nan=0.0), 0, 1), ((0, 1), (0, 1)))
    # A lattice pixel is `step` wide around the centre of its sub-tile, which is half a window from the corner.
    start = (lattice.window - lattice.step) / 2
    left, top = -(lattice.x + start) / lattice.step, -(lattice.y + start) / lattice.step
    pitch = lattice.step * zoom
    box = (left, top, left + slide.width / pitch, top + slide.height / pitch)
    smooth = Image.fromarray(scores.astype(np.float32)).resize(slide.size, Image.Resampling.BILINEAR, box=box)
    value = np.clip(np.asarray(smooth), 0, 1)
    alpha = opacity(value)[..., None]
    blended = np.asarray(slide, np.float32) * (1 - alpha) + colour_map(value) * alpha
    return Image.fromarray(blended.astype(np.uint8))


def _draw_findings(draw: ImageDraw.ImageDraw, analysis: Analysis, zoom: float) -> None:
    report = analysis.report
    if report.settings.roi is not None:
        points = [(x * zoom, y * zoom) for x, y in report.settings.roi]
        for colour, width in ((_PAPER, 5), (ROI, 2)):
            draw.line([*points, points[0]], fill=colour, width=width, joint="curve")
    for h in list_hotspots(report):
        left, top, right, bottom = (v * zoom for v in (h.x, h.y, h.x + h.width, h.y + h.height))
        # On slides of a few pixels a rectangle's last column is not to the right of its first.
        box = (left, top, max(right - 1, left), max(bottom - 1, top))
        if h.parts is not None:
            for x, y, across, down in h.parts:
                corner = x * zoom, y * zoom
                end = corner[0] + max(across * zoom - 1, 0), corner[1] + max(down * zoom - 1, 0)
                draw.rectangle((*corner, *end), outline=HOTSPOT, width=2)
        elif h.shape == "disc":
            draw.ellipse(box, outline=HOTSPOT, width=3)
        else:
            draw.rectangle(box, outline=HOTSPOT, width=3)
    for d in list_figures(report):
        radius = max(math.hypot(d.width, d.height) / 2 * zoom, _MIN_RING_PX)
        ring(draw, (d.x + d.width / 2) * zoom, (d.y + d.height / 2) * zoom, radius, FIGURE)


EXPORTS.add("png", Export("mitosis-map.png", "png", "image/png", whole(to_png), usual=True, shows_review=True, rank=3))
