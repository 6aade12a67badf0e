"""One file a format; `EXPORTS` is the table that the HTTP app and the command line share."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from serving.exports.geojson import to_geojson
from serving.exports.map_picture import to_png
from serving.exports.map_raster import to_tiff
from serving.exports.report_json import to_json
from serving.exports.tiles_csv import to_csv
from serving.scoring.analysis import Analysis


@dataclass(frozen=True, slots=True)
class Export:
    """A format: the file it becomes, its media type, and how it is made."""

    file_name: str
    media_type: str
    render: Callable[[Analysis], bytes]


EXPORTS = {
    "report": Export("report.json", "application/json", to_json),
    "geojson": Export("detections.geojson", "application/geo+json", to_geojson),
    "csv": Export("tiles.csv", "text/csv", to_csv),
    "png": Export("mitosis-map.png", "image/png", to_png),
    "tiff": Export("mitosis-map.tif", "image/tiff", to_tiff),
}


def write_all(analysis: Analysis, folder: Path) -> list[Path]:
    """Write every format into `folder`; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for export in EXPORTS.values():
        path = folder / export.file_name
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(export.render(analysis))
        os.replace(part, path)
        paths.append(path)
    return paths
