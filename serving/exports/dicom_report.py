"""report.dcm: a Comprehensive 3D SR of TID 1500, figures as points in mm, which Slim reads."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import Hotspot
from serving.core.report import Report
from serving.exports.dicom_annotations import NAME
from serving.exports.dicom_source import MANUFACTURER, DicomSource, algorithm_version, atypical_probability
from serving.exports.export import EXPORTS, Export, ExportError, import_extra
from serving.exports.figures import (
    ShownObject,
    count_shown,
    count_shown_atypical,
    describe_review,
    list_figures,
    list_hotspots,
    state_review,
)
from serving.exports.file_px import in_file_px
from serving.scoring.analysis import Analysis

MAX_FIGURES = 5000
"""SR is verbose, some kilobytes a figure; more figures belong into `dicom-ann`."""
PN_CHARACTERS = 63
"""Of a person's name, without the sign that ends its family name: DICOM takes 64 (PS3.5 6.2, PN)."""


def to_dicom_report(analysis: Analysis, slide: Path | None, *, most: int = MAX_FIGURES) -> Iterator[bytes]:
    """Hotspots as polygons with their counts, and the `most` likeliest figures as points, in the slide's frame, for DICOM slides.

    Raises
    ------
    ExportError
        See `DicomSource.from_report`; also after review with more figures than `most`, since some of them would be left out.
    """
    report = in_file_px(analysis.report)
    source = DicomSource.from_report(report, slide)
    hd = import_extra("highdicom", "dicom")
    codes = import_extra("pydicom.sr.codedict", "dicom").codes
    shown = sorted(list_figures(report), key=lambda d: -1.0 if d.probability is None else -d.probability)
    if report.review is not None and len(shown) > most:
        raise ExportError(
            f"after review there are {len(shown)} mitotic figures, and this format takes {most}: choose `dicom-ann` "
            "(report.ann.dcm)"
        )
    figures = shown[:most]
    centres = np.asarray([d.centre for d in figures], np.float64).reshape(-1, 2)
    point, polygon = hd.sr.GraphicTypeValues3D.POINT, hd.sr.GraphicTypeValues3D.POLYGON
    groups = [
        _group(report, source, f"figure {i}", _region(source, point, at[None]), *_atypia(figure), figure=figure)
        for i, (figure, at) in enumerate(zip(figures, source.to_mm(centres), strict=True))
    ]
    counted = hd.sr.CodedConcept("mitotic-count", "99MITOSERVE", "Detected mitotic figures")
    if report.review is not None:
        counted = hd.sr.CodedConcept("reviewed-count", "99MITOSERVE", "Mitotic figures after review")
    for i, h in enumerate(list_hotspots(report), 1):
        ring = [(h.x, h.y), (h.x + h.width, h.y), (h.x + h.width, h.y + h.height), (h.x, h.y + h.height), (h.x, h.y)]
        count = hd.sr.Measurement(
            name=counted,
            value=float(count_shown(h)),
            unit=codes.UCUM.NoUnits,
        )
        outline = _region(source, polygon, source.to_mm(np.asarray(ring, np.float64)))
        groups.append(_group(report, source, f"hotspot {i}", outline, count, *_atypical_count(h)))
    observer = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=source.uid(report, "device"), name=NAME, manufacturer_name=MANUFACTURER
        ),
    )
    context = hd.sr.ObservationContext(observer_device_context=observer)
    for person in () if report.review is None else report.review.reviewers:
        context.extend(_observer(person))
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=hd.sr.CodedConcept("122712", "DCM", "Analysis of image"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    left_out = f"The {most} likeliest of {len(shown)} mitotic figures; report.ann.dcm (dicom-ann) holds all"
    for comment in (describe_review(report), left_out if len(shown) > most else ""):
        if comment:
            content[0].ContentSequence.append(
                hd.sr.TextContentItem(
                    name=codes.DCM.Comment, value=comment, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
                )
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


def _atypia(figure: ShownObject) -> list[Any]:
    """What the atypia model says of a figure, as a measurement; none of what no model saw."""
    if figure.atypical_probability is None:
        return []
    sr, codes = import_extra("highdicom", "dicom").sr, import_extra("pydicom.sr.codedict", "dicom").codes
    value = float(figure.atypical_probability)
    return [sr.Measurement(name=atypical_probability(), value=value, unit=codes.UCUM.NoUnits)]


def _atypical_count(window: Hotspot) -> list[Any]:
    """How many of a window's figures are atypical, as a measurement; none without an atypia model."""
    atypical = count_shown_atypical(window)
    if atypical is None:
        return []
    sr, codes = import_extra("highdicom", "dicom").sr, import_extra("pydicom.sr.codedict", "dicom").codes
    counted = sr.CodedConcept("atypical-count", "99MITOSERVE", "Of them, atypical mitotic figures")
    return [sr.Measurement(name=counted, value=float(atypical.figures), unit=codes.UCUM.NoUnits)]


def _region(source: DicomSource, kind: Any, points: NDArray[np.float64]) -> Any:
    return import_extra("highdicom", "dicom").sr.ImageRegion3D(
        graphic_type=kind, graphic_data=points, frame_of_reference_uid=source.dataset.FrameOfReferenceUID
    )


def _observer(name: str) -> Any:
    """A reviewer as a person who observed; signs that part names in DICOM are left out of the name."""
    hd, codes = import_extra("highdicom", "dicom"), import_extra("pydicom.sr.codedict", "dicom").codes
    plain = "".join(" " if c in "\\^=" or not c.isprintable() else c for c in name).strip()
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name=f"{plain[:PN_CHARACTERS]}^"),
    )


def _group(
    report: Report, source: DicomSource, name: str, region: Any, *measured: Any, figure: ShownObject | None = None
) -> Any:
    """A finding. figure : with the verdict on it and who found it, after review."""
    sr, review = import_extra("highdicom", "dicom").sr, state_review(report)
    said = {} if figure is None else figure.statement
    names = {"verdict": "Verdict of review", "found_by": "Found by"}
    by_model = figure is None or figure.found_by == "model"
    parameters = [f"threshold={review['threshold']}"] if review else None
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=source.uid(report, name), identifier=name),
        referenced_region=region,
        finding_type=sr.CodedConcept("75948002", "SCT", "Mitosis"),
        algorithm_id=sr.AlgorithmIdentification(NAME, algorithm_version(report), parameters) if by_model else None,
        measurements=measured or None,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                name=sr.CodedConcept(key, "99MITOSERVE", names[key]),
                value=sr.CodedConcept(value.lower().replace(" ", "-")[:16], "99MITOSERVE", value),
            )
            for key, value in said.items()
        ]
        or None,
    )


EXPORTS.add(
    "dicom-sr",
    Export(
        "report.dcm",
        "sr.dcm",
        "application/vnd.mitoserve.sr+dicom",
        to_dicom_report,
        needs_slide=True,
        shows_review=True,
        rank=16,
    ),
)
