"""histomicsui.json: an annotation of HistomicsUI and the Digital Slide Archive, by girder's annotation schema."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from serving.core.counts import Hotspot
from serving.core.report import Report
from serving.core.report_parts import TRIAGE_NAME
from serving.core.words import RESEARCH_USE
from serving.exports.colours import colour_map
from serving.exports.export import EXPORTS, Export, in_chunks, streamed
from serving.exports.figures import (
    count_shown,
    count_shown_atypical,
    list_figures,
    list_hotspots,
    state_atypia,
    state_review,
)
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis, MitosisMap

FIGURE, HOTSPOT = "rgb(200, 0, 0)", "rgb(0, 114, 178)"
_STEPS = (0.05, 0.25, 0.5, 0.75, 1.0)


def to_histomicsui(analysis: Analysis) -> Iterator[bytes]:
    """A point and a rectangle a figure, hotspots, and the mitosis map as griddata; level-0 px, scores in `user`."""
    report = in_file_px(analysis.report)
    head = {
        "name": f"Mitoserve {report.analysis_id}",
        "description": RESEARCH_USE,
        "attributes": {"analysis": report.analysis_id, "slide": report.slide.sha256}
        | state_review(report)
        | state_atypia(report),
    }
    elements = (
        json.dumps(e, separators=(",", ":"))
        for e in _elements(report, analysis.mitosis_map, analysis.report.slide.stored_scale or (1.0, 1.0))
    )
    return in_chunks(json.dumps(head)[:-1] + ',"elements":[', elements, "]}\n")


def _elements(report: Report, lattice: MitosisMap, scale: tuple[float, float]) -> Iterator[dict[str, Any]]:
    for d in list_figures(report):
        key = d.key.removeprefix("detection-")
        centre = [round(d.centre[0], 2), round(d.centre[1], 2), 0]
        user = {"probability": d.probability, "score": d.score} | d.statement | d.atypia | d.ensemble
        label = "added" if d.probability is None else f"{d.probability:.2f}"
        common = {"group": "mitotic figure", "label": {"value": label}, "lineColor": FIGURE}
        yield {"type": "point", "id": _id(report, f"p{key}"), "center": centre, "user": user, **common}
        box = {"center": centre, "width": d.width, "height": d.height, "rotation": 0}
        yield {"type": "rectangle", "id": _id(report, f"r{key}"), **box, "user": user, **common}
    for i, h in enumerate(list_hotspots(report)):
        yield {"id": _id(report, f"h{i}"), "group": "hotspot", "lineColor": HOTSPOT, **_window(h)}
    if lattice.scores.size:
        yield _grid(report, lattice, scale)


def _window(h: Hotspot) -> dict[str, Any]:
    centre = [round(h.x + h.width / 2, 2), round(h.y + h.height / 2, 2), 0]
    figures, atypical = count_shown(h), count_shown_atypical(h)
    user = {"mitotic_figures": figures, "area_mm2": h.area_mm2}
    if atypical is not None:
        user["atypical_figures"] = atypical.figures
    named = {"label": {"value": f"{figures} in {h.area_mm2:g} mm2"}, "user": user, "center": centre}
    if h.shape == "disc" and h.width != h.height:
        return {"type": "ellipse", "width": h.width, "height": h.height, "rotation": 0, **named}
    if h.shape == "disc":
        return {"type": "circle", "radius": round(h.width / 2, 2), **named}
    return {"type": "rectangle", "width": h.width, "height": h.height, "rotation": 0, **named}


def _grid(report: Report, lattice: MitosisMap, scale: tuple[float, float]) -> dict[str, Any]:
    """Scores at the middles of their sub-tiles; what was not scored is 0, since a grid has no gaps."""
    half, (across, down) = lattice.window / 2, scale
    of_triage = "" if lattice.triage is None else f", or {TRIAGE_NAME} where Reg-NS did not look"
    return {
        "type": "griddata",
        "id": _id(report, "map"),
        "group": "mitosis map",
        "interpretation": "contour",
        "gridWidth": lattice.scores.shape[1],
        "origin": [(lattice.x + half) * across, (lattice.y + half) * down, 0],
        "dx": lattice.step * across,
        "dy": lattice.step * down,
        "values": [round(float(v), 5) for v in np.nan_to_num(lattice.combine(), nan=0.0).ravel()],
        "colorRange": [f"rgba({r:.0f}, {g:.0f}, {b:.0f}, 0.5)" for r, g, b in colour_map(np.asarray(_STEPS))],
        "rangeValues": list(_STEPS),
        "user": {"what": f"{report.settings.score_name} of each sub-tile{of_triage}"},
    }


def _id(report: Report, key: str) -> str:
    """24 lower-case hex digits, the same whenever the analysis is."""
    return hashlib.sha256(f"{report.analysis_id}/{key}".encode()).hexdigest()[:24]


EXPORTS.add(
    "histomicsui",
    Export(
        "histomicsui.json",
        "histomicsui.json",
        "application/vnd.histomicsui+json",
        streamed(to_histomicsui),
        shows_review=True,
        rank=6,
    ),
)
