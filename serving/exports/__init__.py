"""One file a format; `EXPORTS` is the table that the HTTP app and the command line share."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.exports.asap import to_asap
from serving.exports.coco import to_coco
from serving.exports.detections_csv import to_detections_csv
from serving.exports.detections_parquet import to_parquet
from serving.exports.dicom_annotations import to_dicom_annotations
from serving.exports.dicom_report import to_dicom_report
from serving.exports.geojson import to_geojson, to_gzipped_geojson
from serving.exports.histomicsui import to_histomicsui
from serving.exports.map_ome import to_ome_tiff
from serving.exports.map_picture import to_png
from serving.exports.map_raster import to_tiff
from serving.exports.midog import to_midog
from serving.exports.printed_html import to_html
from serving.exports.printed_pdf import to_pdf
from serving.exports.report_json import to_json
from serving.exports.tiles_csv import to_csv
from serving.scoring.analysis import Analysis


@dataclass(frozen=True, slots=True)
class Export:
    """A format.

    suffix : in addresses, `report.<suffix>`. usual : `mitoserve score` writes it. needs_slide : it refers to the slide's own file
    """

    file_name: str
    suffix: str
    media_type: str
    chunks: Callable[[Analysis, Path | None], Iterable[bytes]]
    usual: bool = False
    needs_slide: bool = False

    def render(self, analysis: Analysis, slide: Path | None = None) -> bytes:
        """The whole file. slide : the slide's own file, which DICOM refers to

        Raises
        ------
        ExportError
            If the format cannot hold this analysis, or needs a package or the slide.
        """
        return b"".join(self.chunks(analysis, slide))


def _whole(render: Callable[[Analysis], bytes]) -> Callable[[Analysis, Path | None], Iterable[bytes]]:
    return lambda analysis, _: (render(analysis),)


def _streamed(render: Callable[[Analysis], Iterator[bytes]]) -> Callable[[Analysis, Path | None], Iterable[bytes]]:
    return lambda analysis, _: render(analysis)


EXPORTS = {
    "report": Export("report.json", "json", "application/json", _whole(to_json), usual=True),
    "geojson": Export("detections.geojson", "geojson", "application/geo+json", _streamed(to_geojson), usual=True),
    "csv": Export("tiles.csv", "csv", "text/csv", _whole(to_csv), usual=True),
    "png": Export("mitosis-map.png", "png", "image/png", _whole(to_png), usual=True),
    "tiff": Export("mitosis-map.tif", "tiff", "image/tiff", _whole(to_tiff), usual=True),
    "geojson-gz": Export("detections.geojson.gz", "geojson.gz", "application/gzip", _streamed(to_gzipped_geojson)),
    "histomicsui": Export(
        "histomicsui.json", "histomicsui.json", "application/vnd.histomicsui+json", _streamed(to_histomicsui)
    ),
    "asap": Export("asap.xml", "asap.xml", "application/xml", _streamed(to_asap)),
    "midog": Export("midog.json", "midog.json", "application/vnd.midog+json", _streamed(to_midog)),
    "coco": Export("coco.json", "coco.json", "application/vnd.coco+json", _streamed(to_coco)),
    "detections-csv": Export(
        "detections.csv", "detections.csv", "application/vnd.mitoserve.detections+csv", _streamed(to_detections_csv)
    ),
    "parquet": Export("detections.parquet", "parquet", "application/vnd.apache.parquet", _whole(to_parquet)),
    "ome-tiff": Export("mitosis-map.ome.tif", "ome.tif", "image/vnd.ome.tiff", _whole(to_ome_tiff)),
    "html": Export("report.html", "html", "text/html", _whole(to_html)),
    "pdf": Export("report.pdf", "pdf", "application/pdf", _whole(to_pdf)),
    "dicom-ann": Export("annotations.dcm", "ann.dcm", "application/dicom", to_dicom_annotations, needs_slide=True),
    "dicom-sr": Export("report.dcm", "sr.dcm", "application/vnd.mitoserve.sr+dicom", to_dicom_report, needs_slide=True),
}


def write_all(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the usual formats into `folder`; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write(name, analysis, folder / export.file_name) for name, export in EXPORTS.items() if export.usual]


def write(name: str, analysis: Analysis, path: Path, *, slide: Path | None = None) -> Path:
    """Write one format to `path`, which appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in EXPORTS[name].chunks(analysis, slide):
                file.write(chunk)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
