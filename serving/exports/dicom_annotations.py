"""annotations.dcm: Microscopy Bulk Simple Annotations, through highdicom."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from serving import __version__
from serving.exports.dicom_source import MANUFACTURER, MODEL, DicomSource, algorithm_version
from serving.exports.errors import ExportError, import_extra
from serving.exports.export import EXPORTS, Export
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

NAME = "Mitoserve"


def to_dicom_annotations(analysis: Analysis, slide: Path | None) -> Iterator[bytes]:
    """Figures as rectangles in px of the finest level, with their probability as a measurement, for DICOM slides.

    Raises
    ------
    ExportError
        See `DicomSource.from_report`; also without figures, since DICOM has no empty group.
    """
    report = in_file_px(analysis.report)
    source = DicomSource.from_report(report, slide)
    hd, codes = import_extra("highdicom", "dicom"), import_extra("pydicom.sr.codedict", "dicom").codes
    if not report.detections:
        raise ExportError("there are no mitotic figures, and DICOM annotations have no empty group")
    boxes = [
        np.asarray(
            [(d.x, d.y), (d.x + d.width, d.y), (d.x + d.width, d.y + d.height), (d.x, d.y + d.height)], np.float32
        )
        for d in report.detections
    ]
    group = hd.ann.AnnotationGroup(
        number=1,
        uid=source.uid(report, "group"),
        label="mitotic figures",
        description=report.research_use,
        annotated_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        annotated_property_type=hd.sr.CodedConcept("75948002", "SCT", "Mitosis"),
        graphic_type=hd.ann.GraphicTypeValues.RECTANGLE,
        graphic_data=boxes,
        algorithm_type=hd.ann.AnnotationGroupGenerationTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=NAME, version=algorithm_version(report), family=codes.DCM.ArtificialIntelligence
        ),
        measurements=[
            hd.ann.Measurements(
                name=codes.DCM.Probability,
                values=np.asarray([d.probability for d in report.detections], np.float32),
                unit=codes.UCUM.NoUnits,
            )
        ],
    )
    annotations = hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[source.dataset],
        annotation_coordinate_type=hd.ann.AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=[group],
        series_instance_uid=source.uid(report, "annotations"),
        series_number=1,
        sop_instance_uid=source.uid(report, "annotation instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=__version__,
        device_serial_number=report.analysis_id,
        content_description=report.research_use[:64],
    )
    buffer = io.BytesIO()
    annotations.save_as(buffer, enforce_file_format=True)
    yield buffer.getvalue()


EXPORTS.add(
    "dicom-ann",
    Export("annotations.dcm", "ann.dcm", "application/dicom", to_dicom_annotations, needs_slide=True, rank=15),
)
