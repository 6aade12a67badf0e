"""mitosis-map.ome.tif: the score lattice as OME-TIFF, with its pitch in microns."""

import io
import uuid

import numpy as np
import tifffile

from serving.core.report_parts import TRIAGE_NAME
from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis


def to_ome_tiff(analysis: Analysis) -> bytes:
    """Float32 scores, NaN where nothing was scored; the stage position is the middle of the first sub-tile, in microns.

    Of a fast analysis the second channel is what triage says where it alone looked, NaN elsewhere.
    """
    lattice, report = analysis.mitosis_map, analysis.report
    pitch, half = lattice.step * lattice.mpp, lattice.window / 2
    values, named, planes = lattice.scores, {}, 1
    if lattice.triage is not None:
        values, planes = np.stack([lattice.scores, lattice.triage]), 2
        named = {"Channel": {"Name": [report.settings.score_name, TRIAGE_NAME]}}
    metadata = {
        "axes": "YX" if planes == 1 else "CYX",
        **named,
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/map")),
        "Name": f"{report.settings.score_name} of each sub-tile, {report.analysis_id}",
        "Description": f"{report.settings.score_name} of each sub-tile of {report.slide.sha256}. {report.research_use}",
        "PhysicalSizeX": pitch,
        "PhysicalSizeY": pitch,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
        "Plane": {
            "PositionX": [(lattice.x + half) * lattice.mpp] * planes,
            "PositionY": [(lattice.y + half) * lattice.mpp] * planes,
            "PositionXUnit": ["µm"] * planes,
            "PositionYUnit": ["µm"] * planes,
        },
    }
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, ome=True, metadata=metadata, compression="zlib", software="mitoserve")
    return buffer.getvalue()


EXPORTS.add(
    "ome-tiff",
    Export("mitosis-map.ome.tif", "ome.tif", "image/vnd.ome.tiff", whole(to_ome_tiff), shows_review=True, rank=12),
)
