"""Frames of MITOS-ATYPIA-14 with all objects in one JSON file: `labels.json`, pictures in `frames/`."""

from collections.abc import Iterator
from math import sqrt
from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat

from serving.datasets.documents import read_document
from serving.datasets.import_report import ImportReport
from serving.datasets.readers.boxes import annotation, around, nominal_half
from serving.datasets.readers.classes import Label
from serving.datasets.readers.mitos import mitos_name
from serving.datasets.readers.mitos_atypia14 import MITOSIS_CONFIDENCE
from serving.datasets.readers.registry import CONTEST, reader
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Box, Dataset, Picture

FORMAT = "mitos-atypia14-frames"


class _Object(BaseModel):
    xy: tuple[FiniteFloat, FiniteFloat]
    confidence: float | None = Field(default=None, ge=0, le=1)


class _Frame(BaseModel):
    mitoses: list[_Object]
    look_alikes: list[_Object]
    uncertain: list[_Object] = []


class _Frames(BaseModel):
    mpp_x: float = Field(gt=0)
    mpp_y: float = Field(gt=0)
    frames: dict[str, _Frame]


@reader(
    FORMAT,
    summary="labels.json of MITOS-ATYPIA-14 frames (mitoses, look_alikes, uncertain), or its folder",
    takes="either",
    licence=CONTEST,
)
def read_mitos_atypia14_frames(source: Source, report: ImportReport) -> Dataset:
    """Frames with figures and marked look-alikes; confidence is agreement.

    Uncertain objects, and those whose confidence contradicts their list, are ambiguous areas. Frames differ by a pixel in
    width from what the file states, so their own size counts. Look-alikes were marked more densely on some slides than on
    others: tissue without a mark is no figure, but may look like one.

    Raises
    ------
    FormatError
        If the file does not have these fields.
    """
    path = source.path / "labels.json" if source.path.is_dir() else source.path
    file = read_document(path, _Frames)
    return source.dataset(FORMAT, _pictures(source, report, file))


def _pictures(source: Source, report: ImportReport, file: _Frames) -> Iterator[Picture]:
    # Pixels are not quite square; the mean of both sides keeps areas.
    mpp = sqrt(file.mpp_x * file.mpp_y)
    for key, frame in sorted(file.frames.items()):
        name = mitos_name(Path(key))
        sized = source.picture(report, key, where=f"frames.{key}", nominal_mpp=round(mpp, 4))
        if sized is None:
            continue
        unsure = [*frame.uncertain]
        annotations = [
            *_annotations(report, frame.mitoses, "mitotic figure", sized, unsure),
            *_annotations(report, frame.look_alikes, "look-alike", sized, unsure),
        ]
        report.noted["objects that are uncertain: ambiguous areas"] += len(unsure)
        yield Picture(
            **sized.fields(),
            slide=name.slide,
            patient=name.patient,
            annotations=tuple(annotations),
            ambiguous_areas=tuple(_area(found, sized) for found in unsure),
            attributes=name.attributes,
        )


def _annotations(
    report: ImportReport, objects: list[_Object], label: Label, sized: Sized, unsure: list[_Object]
) -> Iterator[Annotation]:
    """Annotations of a list's objects; those whose confidence says the opposite go to `unsure`."""
    for found in objects:
        confidence = found.confidence
        if confidence is None:
            report.noted[f"{label}s without a confidence"] += 1
            confidence = 1.0 if label == "mitotic figure" else 0.0
        if (confidence >= MITOSIS_CONFIDENCE) != (label == "mitotic figure"):
            report.noted[f"{label}s whose confidence contradicts it: ambiguous areas"] += 1
            unsure.append(found)
            continue
        box = around(*found.xy, nominal_half(sized.mpp))
        made = annotation(report, box, sized.size, label, confidence, nominal=True)
        if made is not None:
            yield made


def _area(found: _Object, sized: Sized) -> Box:
    x1, y1, x2, y2 = around(*found.xy, nominal_half(sized.mpp))
    return (max(x1, 0.0), max(y1, 0.0), min(x2, float(sized.width)), min(y2, float(sized.height)))
