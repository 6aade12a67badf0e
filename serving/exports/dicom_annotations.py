"""annotations.dcm: Microscopy Bulk Simple Annotations, through highdicom."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from serving import __version__
from serving.core.report import Report
from serving.exports.dicom_source import MANUFACTURER, MODEL, DicomSource, algorithm_version, atypical_probability
from serving.exports.export import EXPORTS, Export, ExportError, import_extra
from serving.exports.figures import NOT_JUDGED, ShownObject, describe_review, list_figures, state_review
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

NAME = "Mitoserve"


def to_dicom_annotations(analysis: Analysis, slide: Path | None) -> Iterator[bytes]:
    """Figures as rectangles in px of the finest level, with their probability as a measurement, for DICOM slides.

    After review there is a group for each verdict and finder.

    Raises
    ------
    ExportError
        See `DicomSource.from_report`; also without figures, since DICOM has no empty group.
    """
    report = in_file_px(analysis.report)
    source = DicomSource.from_report(report, slide)
    hd = import_extra("highdicom", "dicom")
    groups: dict[tuple[str, str | None], list[ShownObject]] = {}
    for figure in list_figures(report):
        groups.setdefault((figure.found_by, figure.verdict), []).append(figure)
    if not groups:
        raise ExportError("there are no mitotic figures, and DICOM annotations have no empty group")
    annotations = hd.ann.MicroscopyBulkSimpleAnnotations(
        source_images=[source.dataset],
        annotation_coordinate_type=hd.ann.AnnotationCoordinateTypeValues.SCOORD,
        annotation_groups=[_group(report, source, i, figures) for i, figures in enumerate(groups.values(), 1)],
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


def _group(report: Report, source: DicomSource, number: int, figures: list[ShownObject]) -> Any:
    """An annotation group of figures that have one verdict and one finder. number : from 1."""
    hd, codes = import_extra("highdicom", "dicom"), import_extra("pydicom.sr.codedict", "dicom").codes
    kinds, verdict, review = hd.ann.AnnotationGroupGenerationTypeValues, figures[0].verdict, state_review(report)
    label, description = "mitotic figures", str(report.research_use)
    kind = kinds.AUTOMATIC if verdict in (None, NOT_JUDGED) else kinds.SEMIAUTOMATIC
    if verdict is not None:
        label = f"mitotic figures: {verdict}, found by {figures[0].found_by}"
        description = f"{describe_review(report)}. {report.research_use}"
    if figures[0].found_by == "reviewer":
        kind, made_by = kinds.MANUAL, {}
    else:
        made_by = {
            "algorithm_identification": hd.AlgorithmIdentificationSequence(
                name=NAME,
                version=algorithm_version(report),
                family=codes.DCM.ArtificialIntelligence,
                parameters={"threshold": review["threshold"]} if review else None,
            ),
            "measurements": [
                hd.ann.Measurements(
                    name=codes.DCM.Probability,
                    values=np.asarray([d.probability for d in figures], np.float32),
                    unit=codes.UCUM.NoUnits,
                ),
                *_atypia(report, figures),
            ],
        }
    boxes = [
        np.asarray(
            [(d.x, d.y), (d.x + d.width, d.y), (d.x + d.width, d.y + d.height), (d.x, d.y + d.height)], np.float32
        )
        for d in figures
    ]
    return hd.ann.AnnotationGroup(
        number=number,
        uid=source.uid(report, "group" if verdict is None else f"group {number}"),
        label=label,
        description=description,
        annotated_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        annotated_property_type=hd.sr.CodedConcept("75948002", "SCT", "Mitosis"),
        graphic_type=hd.ann.GraphicTypeValues.RECTANGLE,
        graphic_data=boxes,
        algorithm_type=kind,
        **made_by,
    )


def _atypia(report: Report, figures: list[ShownObject]) -> list[Any]:
    """The atypia model's probabilities of figures, as a measurement; none without such a model."""
    if report.atypia is None:
        return []
    hd, codes = import_extra("highdicom", "dicom"), import_extra("pydicom.sr.codedict", "dicom").codes
    known = [d.atypical_probability for d in figures]
    values = np.asarray([np.nan if p is None else p for p in known], np.float32)
    return [hd.ann.Measurements(name=atypical_probability(), values=values, unit=codes.UCUM.NoUnits)]


EXPORTS.add(
    "dicom-ann",
    Export(
        "annotations.dcm",
        "ann.dcm",
        "application/dicom",
        to_dicom_annotations,
        needs_slide=True,
        shows_review=True,
        rank=15,
    ),
)
