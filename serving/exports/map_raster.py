"""mitosis-map.tif: the score lattice as numbers that know where they lie."""

import io
import json

import tifffile

from serving.core.report_parts import TRIAGE_NAME
from serving.core.words import RESEARCH_USE
from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis

_CM_UM = 10_000


def to_tiff(analysis: Analysis) -> bytes:
    """Float32 scores, NaN where nothing was scored; of a fast analysis a second page of what triage says where it alone looked.

    Element [row, column] is the sub-tile whose top left corner is at (x + column * step, y + row * step), level-0 px;
    x, y, step and the sub-tile's side `window` are JSON in ImageDescription, and the resolution tags give one element's
    pitch, so GIS-like readers and QuPath scale it right.
    """
    lattice, report = analysis.mitosis_map, analysis.report
    description = {
        "what": f"{report.settings.score_name} of each sub-tile",
        "analysis_id": report.analysis_id,
        "unit": "level-0 px",
        "x": lattice.x,
        "y": lattice.y,
        "step": lattice.step,
        "window": lattice.window,
        "mpp": lattice.mpp,
        "research_use": RESEARCH_USE,
    }
    pages = [(description, lattice.scores)]
    if lattice.triage is not None:
        pages.append(({**description, "what": f"{TRIAGE_NAME}, where Reg-NS did not look"}, lattice.triage))
    per_cm = _CM_UM / (lattice.step * lattice.mpp)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for about, values in pages:
            tiff.write(
                values,
                description=json.dumps(about),
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                software="mitoserve",
                metadata=None,
                compression="zlib",
            )
    return buffer.getvalue()


EXPORTS.add(
    "tiff", Export("mitosis-map.tif", "tiff", "image/tiff", whole(to_tiff), usual=True, shows_review=True, rank=4)
)
