"""report.dcm: a Comprehensive 3D SR of TID 1500, figures as points in mm, which Slim reads."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.report import Report
from serving.exports.dicom_annotations import NAME
from serving.exports.dicom_source import MANUFACTURER, DicomSource, algorithm_version
from serving.exports.errors import import_extra
from serving.exports.export import EXPORTS, Export
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

MAX_FIGURES = 5000
"""SR is verbose, some kilobytes a figure; more figures belong into `dicom-ann`."""


def to_dicom_report(analysis: Analysis, slide: Path | None) -> Iterator[bytes]:
    """Hotspots as polygons with their counts, and the likeliest figures as points, in the slide's frame, for DICOM slides.

    Raises
    ------
    ExportError
        See `DicomSource.from_report`.
    """
    report = in_file_px(analysis.report)
    source = DicomSource.from_report(report, slide)
    hd = import_extra("highdicom", "dicom")
    codes = import_extra("pydicom.sr.codedict", "dicom").codes
    figures = sorted(report.detections, key=lambda d: -d.probability)[:MAX_FIGURES]
    centres = np.asarray([(d.x + d.width / 2, d.y + d.height / 2) for d in figures], np.float64).reshape(-1, 2)
    point, polygon = hd.sr.GraphicTypeValues3D.POINT, hd.sr.GraphicTypeValues3D.POLYGON
    groups = [
        _group(report, source, f"figure {i}", _region(source, point, at[None]))
        for i, at in enumerate(source.to_mm(centres))
    ]
    for i, h in enumerate(report.hotspots, 1):
        ring = [(h.x, h.y), (h.x + h.width, h.y), (h.x + h.width, h.y + h.height), (h.x, h.y + h.height), (h.x, h.y)]
        count = hd.sr.Measurement(
            name=hd.sr.CodedConcept("mitotic-count", "99MITOSERVE", "Detected mitotic figures"),
            value=float(h.mitotic_figures),
            unit=codes.UCUM.NoUnits,
        )
        outline = _region(source, polygon, source.to_mm(np.asarray(ring, np.float64)))
        groups.append(_group(report, source, f"hotspot {i}", outline, count))
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=source.uid(report, "device"), name=NAME, manufacturer_name=MANUFACTURER
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=hd.sr.CodedConcept("122712", "DCM", "Analysis of image"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = hd.sr.Comprehensive3DSR(
        evidence=[source.dataset],
        content=content,
        series_instance_uid=source.uid(report, "report"),
        series_number=2,
        sop_instance_uid=source.uid(report, "report instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description=report.research_use[:64],
    )
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    yield buffer.getvalue()


def _region(source: DicomSource, kind: Any, points: NDArray[np.float64]) -> Any:
    return import_extra("highdicom", "dicom").sr.ImageRegion3D(
        graphic_type=kind, graphic_data=points, frame_of_reference_uid=source.dataset.FrameOfReferenceUID
    )


def _group(report: Report, source: DicomSource, name: str, region: Any, *measured: Any) -> Any:
    sr = import_extra("highdicom", "dicom").sr
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=source.uid(report, name), identifier=name),
        referenced_region=region,
        finding_type=sr.CodedConcept("75948002", "SCT", "Mitosis"),
        algorithm_id=sr.AlgorithmIdentification(name=NAME, version=algorithm_version(report)),
        measurements=measured or None,
    )


EXPORTS.add(
    "dicom-sr",
    Export("report.dcm", "sr.dcm", "application/vnd.mitoserve.sr+dicom", to_dicom_report, needs_slide=True, rank=16),
)
