"""Labels that people drew in a viewer: from named outlines and points on one slide to its picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.annotations import join_boxes, make_bounding_box, normalize_class
from serving.datasets.import_report import ImportReport
from serving.datasets.patient import parse_patient
from serving.datasets.readers.boxes import annotation, around, nominal_half, outside, share
from serving.datasets.readers.source import Source
from serving.datasets.store import Box, Picture

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Outline:
    """What a viewer stores of one object.

    name : its class, None where it has none
    parts : the points of its outline, of each of its outlines if it has several, or the places of as many objects if
    `places`; px of the file, or level-0 px once placed
    """

    name: str | None
    parts: Sequence[Sequence[Point]]
    places: bool = False

    @property
    def boxes(self) -> list[Box]:
        """The box around each part, px."""
        return [make_bounding_box(part) for part in self.parts]

    def placed(self, stored_scale: tuple[float, float], origin: tuple[int, int]) -> "Outline":
        """The outline in level-0 px; `origin`, level-0 px, is where its own px begin."""
        (across, down), (left, top) = stored_scale, origin
        parts = [[(x / across + left, y / down + top) for x, y in part] for part in self.parts]
        return Outline(self.name, parts, self.places)


def make_picture(
    source: Source,
    report: ImportReport,
    file: Path,
    names: tuple[str, ...],
    outlines: Iterable[Outline],
    *,
    from_bounds: bool = False,
) -> Picture | None:
    """The picture that a viewer's file belongs to; None, and a line in the report, if it is not in the folder.

    Outlines of a class that means a reviewed area limit what is labelled to the box around each. Without one the whole
    picture counts as reviewed, if anything on it is labelled. Parts of an outline that lie nearer to each other than a nominal
    box is wide are one figure, such as the plates of an anaphase; parts farther away are figures of their own.

    file : the viewer's file; names : how its picture may be called
    from_bounds : the viewer counts px from where the slide's bounds begin
    """
    sized = source.picture(report, *names, where="picture", in_file_px=True)
    if sized is None:
        report.noted[f"files without a picture: {file.name}"] += 1
        return None
    annotations, reviewed = [], []
    origin = sized.origin if from_bounds else (0, 0)
    for outline in (stored.placed(sized.stored_scale, origin) for stored in outlines):
        label = None if outline.name is None else source.classes.find_label(outline.name)
        if outline.name is not None and normalize_class(outline.name) in source.classes.reviewed:
            reviewed += outline.boxes
        elif label is None:
            report.dropped[_other(outline.name)] += len(outline.parts) if outline.places else 1
        else:
            half = nominal_half(sized.mpp)
            boxes = (
                [around(*point, half) for part in outline.parts for point in part]
                if outline.places
                else join_boxes(outline.boxes, 2 * half)
            )
            found = (annotation(report, b, sized.size, label, share((), label), nominal=outline.places) for b in boxes)
            annotations += [a for a in found if a is not None]
    return Picture(
        **sized.fields(),
        slide=Path(sized.path).stem,
        patient=parse_patient(sized.path),
        labelled=bool(annotations or reviewed),
        annotations=tuple(annotations),
        unlabelled_areas=outside(reviewed, sized.size) if reviewed else (),
    )


def _other(name: str | None) -> str:
    return "objects without a class" if name is None else f"objects of class {name!r}"
