"""Pictures of the one page: the slide with its window, the window with its figures, and the surroundings of twelve of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from serving.core.counts import Hotspot
from serving.core.geometry import Region
from serving.core.report import Report
from serving.exports.figures import ShownObject, list_regions
from serving.exports.map_margins import HOTSPOT
from serving.exports.sheet import CROPS, caption, find_window, list_shown
from serving.scoring.analysis import Analysis, SlideViews
from serving.slides.slide import Slide

OVERVIEW_PX = 700
"""Longer side of the picture of the slide."""
WINDOW_PX = 1000
"""Longer side of the picture of the window."""
CROP_UM, CROP_PX = 32.0, 192
"""Side of the surroundings of a figure, on the slide and in its picture."""
_FIGURE, _REJECTED, _WITHIN, _EXCLUDE, _PAPER = (
    (0, 230, 255),
    (213, 94, 0),
    (0, 158, 115),
    (138, 59, 0),
    (255, 255, 255),
)


@dataclass(frozen=True, slots=True)
class SheetPictures:
    """Pictures in the order of the page.

    window : None where there is no window
    crops : with what stands below each; a picture is None where the slide's pixels are not at hand
    """

    overview: Image.Image
    window: Image.Image | None
    crops: tuple[tuple[Image.Image | None, str], ...]


def read_views(slide: Slide, report: Report) -> SlideViews:
    """The pixels that the page shows.

    slide : that of the report; where the report counts in px of another shape, it is read in its own

    Raises
    ------
    MitoserveError
        If the slide cannot be read there.
    """
    scale = slide.width / report.slide.width, slide.height / report.slide.height
    found = find_window(report)
    window = None
    if found is not None:
        zoom = WINDOW_PX / max(found[1].width, found[1].height)
        size = max(round(found[1].width * zoom), 1), max(round(found[1].height * zoom), 1)
        box = (found[1].x, found[1].y, found[1].width, found[1].height)
        window = slide.read(_region(box, scale), *size)
    side = CROP_UM / report.slide.mpp
    crops = {}
    for shown in list_shown(report)[:CROPS]:
        x, y = shown.centre
        crops[shown.key] = slide.read(_region((x - side / 2, y - side / 2, side, side), scale), CROP_PX, CROP_PX)
    return SlideViews(window, crops)


def draw_pictures(analysis: Analysis) -> SheetPictures:
    """The pictures of the page."""
    report, views = analysis.report, analysis.views
    found, shown = find_window(report), list_shown(report)
    crops: Mapping[str, NDArray[np.uint8]] = {} if views is None else views.crops
    pictures = tuple(
        (None if (pixels := crops.get(one.key)) is None else Image.fromarray(pixels), caption(one))
        for one in shown[:CROPS]
    )
    window = None if found is None else _draw_window(analysis, found[1], shown)
    return SheetPictures(_draw_overview(analysis, None if found is None else found[1]), window, pictures)


def _region(box: tuple[float, float, float, float], scale: tuple[float, float]) -> Region:
    x, y, width, height = box
    left, top = round(x * scale[0]), round(y * scale[1])
    return Region(left, top, max(round((x + width) * scale[0]) - left, 1), max(round((y + height) * scale[1]) - top, 1))


def _draw_overview(analysis: Analysis, window: Hotspot | None) -> Image.Image:
    report = analysis.report
    zoom = OVERVIEW_PX / max(report.slide.width, report.slide.height)
    size = max(round(report.slide.width * zoom), 1), max(round(report.slide.height * zoom), 1)
    picture = _scale(analysis.overview.pixels, size)
    draw = ImageDraw.Draw(picture)
    for use, outlines in list_regions(report):
        for outline in outlines:
            for ring in (ring for polygon in outline.polygons for ring in polygon):
                points = [(x * zoom, y * zoom) for x, y in ring]
                draw.line([*points, points[0]], fill=_WITHIN if use == "within" else _EXCLUDE, width=3)
    for hotspot in report.hotspots[1:]:
        _outline(draw, hotspot, (0.0, 0.0), zoom, width=2)
    if window is not None:
        _outline(draw, window, (0.0, 0.0), zoom, width=6)
    return picture


def _draw_window(analysis: Analysis, window: Hotspot, shown: list[ShownObject]) -> Image.Image:
    zoom = WINDOW_PX / max(window.width, window.height)
    size = max(round(window.width * zoom), 1), max(round(window.height * zoom), 1)
    pixels = None if analysis.views is None else analysis.views.window
    picture = _scale(_cut(analysis, window) if pixels is None else pixels, size)
    draw = ImageDraw.Draw(picture)
    if window.shape != "rectangle":
        _outline(draw, window, (window.x, window.y), zoom, width=4)
    radius = max(CROP_UM / 2 / analysis.report.slide.mpp * zoom, 14.0)
    for one in reversed(shown):
        x, y = (one.centre[0] - window.x) * zoom, (one.centre[1] - window.y) * zoom
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, outline=(25, 25, 30), width=5)
        draw.ellipse(box, outline=_FIGURE if one.is_figure else _REJECTED, width=3)
        if not one.is_figure:
            draw.line((x - radius * 0.7, y + radius * 0.7, x + radius * 0.7, y - radius * 0.7), fill=_REJECTED, width=3)
    return picture


def _cut(analysis: Analysis, window: Hotspot) -> NDArray[np.uint8]:
    """The window in the small picture of the slide."""
    pixels, down = analysis.overview.pixels, analysis.overview.downsample
    left, top = max(int(window.x / down), 0), max(int(window.y / down), 0)
    cut = pixels[top : int((window.y + window.height) / down) + 1, left : int((window.x + window.width) / down) + 1]
    return cut


def _scale(pixels: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    if not pixels.size:
        return Image.new("RGB", size, _PAPER)
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS)


def _outline(
    draw: ImageDraw.ImageDraw, window: Hotspot, corner: tuple[float, float], zoom: float, *, width: int
) -> None:
    for x, y, across, down in window.parts or [(window.x, window.y, window.width, window.height)]:
        left, top = (x - corner[0]) * zoom, (y - corner[1]) * zoom
        right, bottom = left + across * zoom, top + down * zoom
        box = (left, top, max(right - 1, left), max(bottom - 1, top))
        if window.shape == "disc":
            draw.ellipse(box, outline=HOTSPOT, width=width)
        else:
            draw.rectangle(box, outline=HOTSPOT, width=width)
