"""The DICOM slide that annotations refer to, and what they share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import __version__
from serving.core.errors import MitoserveError
from serving.core.report import Report
from serving.exports.export import ExportError, import_extra
from serving.slides.dicomfiles import HEAD_BYTES, is_dicom
from serving.slides.slidefiles import slide_files

MANUFACTURER, MODEL = "Mitoserve", "mitoserve"


@dataclass(frozen=True, slots=True)
class DicomSource:
    """The finest level of a DICOM slide, without its pixels. `dataset` is a pydicom Dataset."""

    dataset: Any

    @classmethod
    def from_report(cls, report: Report, slide: Path | None) -> "DicomSource":
        """The level that the report's coordinates are of.

        Raises
        ------
        ExportError
            If highdicom is not installed, or the slide is not given, is no DICOM slide or another one.
        """
        import_extra("highdicom", "dicom")
        pydicom = import_extra("pydicom", "dicom")
        if slide is None:
            raise ExportError("DICOM refers to the slide's own files: give the slide too (--slide), while it is stored")
        files = _find_files(slide)
        if not files:
            raise ExportError(
                f"{report.slide.name} is no DICOM slide, and DICOM annotations refer to one; convert it with wsidicomizer "
                "and score what comes out, or choose another format"
            )
        size = (report.slide.width, report.slide.height)
        for path in files:
            found = pydicom.dcmread(path, stop_before_pixels=True)
            columns_rows = (found.get("TotalPixelMatrixColumns"), found.get("TotalPixelMatrixRows"))
            if columns_rows == size and "VOLUME" in found.ImageType:
                return cls(found)
        raise ExportError(f"no file of the slide has the {size[0]} x {size[1]} px that the report is of")

    def to_mm(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Total pixel matrix (x, y) px to the slide's frame of reference, mm: shape (N, 2) -> (N, 3)."""
        spatial, shared = import_extra("highdicom.spatial", "dicom"), self.dataset.SharedFunctionalGroupsSequence[0]
        origin = self.dataset.TotalPixelMatrixOriginSequence[0]
        transformer = spatial.ImageToReferenceTransformer(
            image_position=(
                float(origin.XOffsetInSlideCoordinateSystem),
                float(origin.YOffsetInSlideCoordinateSystem),
                float(origin.get("ZOffsetInSlideCoordinateSystem", 0.0)),
            ),
            image_orientation=[float(v) for v in self.dataset.ImageOrientationSlide],
            pixel_spacing=[float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing],
        )
        return np.asarray(transformer(points), np.float64) if len(points) else np.empty((0, 3))

    def uid(self, report: Report, key: str) -> str:
        """A UID that is the same whenever the analysis and, where the report states it, the review are."""
        parts = [report.analysis_id, key]
        if report.review is not None:
            parts.append(report.review.model_dump_json(include={"reviewers", "rule", "last_entry", "objects"}))
        made = import_extra("pydicom.uid", "dicom").generate_uid(entropy_srcs=parts)
        return str(made)


ATYPICAL_PROBABILITY = "Probability that a mitotic figure is atypical"


def _find_files(slide: Path) -> list[Path]:
    """The files of a DICOM slide; none where it is another one, or not there."""
    try:
        files = slide_files(slide)
        with files.main_path.open("rb") as handle:
            return files.paths if is_dicom(handle.read(HEAD_BYTES)) else []
    except (MitoserveError, OSError):
        return []


def algorithm_version(report: Report) -> str:
    """Software and models, as DICOM names an algorithm's version; 64 characters at most."""
    return " ".join([__version__, *(f"{m.name}-{m.version}" for m in report.used_models)])[:64]


def atypical_probability() -> Any:
    """The name of the atypia model's probability: of this project's own, since neither DICOM nor SNOMED CT's part in it has a code."""
    return import_extra("highdicom", "dicom").sr.CodedConcept("atypical", "99MITOSERVE", ATYPICAL_PROBABILITY)
