"""mitosis-map.ome.tif: the score lattice as OME-TIFF, with its pitch in microns."""

import io
import uuid

import tifffile

from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis


def to_ome_tiff(analysis: Analysis) -> bytes:
    """Float32 scores, NaN where nothing was scored; the stage position is the middle of the first sub-tile, in microns."""
    lattice, report = analysis.mitosis_map, analysis.report
    pitch, half = lattice.step * lattice.mpp, lattice.window / 2
    metadata = {
        "axes": "YX",
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{report.analysis_id}/map")),
        "Name": f"{report.settings.score_name} of each sub-tile, {report.analysis_id}",
        "Description": f"{report.settings.score_name} of each sub-tile of {report.slide.sha256}. {report.research_use}",
        "PhysicalSizeX": pitch,
        "PhysicalSizeY": pitch,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
        "Plane": {
            "PositionX": [(lattice.x + half) * lattice.mpp],
            "PositionY": [(lattice.y + half) * lattice.mpp],
            "PositionXUnit": ["µm"],
            "PositionYUnit": ["µm"],
        },
    }
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, lattice.scores, ome=True, metadata=metadata, compression="zlib", software="mitoserve")
    return buffer.getvalue()


EXPORTS.add(
    "ome-tiff",
    Export("mitosis-map.ome.tif", "ome.tif", "image/vnd.ome.tiff", whole(to_ome_tiff), shows_review=True, rank=12),
)
