"""Crops that are centred on a mitotic figure or on a look-alike: what all data sets of crops have in common."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.datasets.import_report import ImportReport
from serving.datasets.pictures import has_padding
from serving.datasets.readers.boxes import NOMINAL_HALF_PX, annotation, around, share
from serving.datasets.readers.classes import Label
from serving.datasets.readers.source import Sized, Source
from serving.datasets.store import Annotation, Box, Dataset, Picture

MPP = 0.25
"""MIDOG, TUPAC16 and TCGA slides at x40, nominally."""
_NEAR_PX = 256
"""Farther than any published crop reaches."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop.

    names : how its file may be called
    where : the record that names it, for errors
    centre : (x, y) of the crop's centre in its case, px, where the source states it
    slide : by default the case
    """

    names: tuple[str, ...]
    where: str
    case: str
    centre: tuple[float, float] | None
    attributes: dict[str, str] = field(default_factory=dict)
    label: Label = "mitotic figure"
    slide: str = ""


def crops_dataset(
    source: Source, report: ImportReport, format_name: str, crops: Sequence[Crop], *, mpp: float = MPP
) -> Dataset:
    """The crops as pictures, without those that have black padding: it tells a net that it sees a crop.

    The object in the middle is labelled. So is any other of the same case that the crop shows; where one is only cut by
    the crop's edge, that part is unlabelled. mpp : um/px as the data set's authors state it

    Raises
    ------
    FormatError
        If a crop does not open.
    """
    return source.dataset(format_name, _pictures(source, report, crops, mpp))


def _pictures(source: Source, report: ImportReport, crops: Sequence[Crop], mpp: float) -> Iterator[Picture]:
    neighbours = _Neighbours.from_crops(crops)
    for crop in crops:
        sized = source.picture(report, *crop.names, where=crop.where, nominal_mpp=mpp)
        if sized is None:
            continue
        with Image.open(source.images / sized.path) as image:
            if has_padding(np.asarray(image.convert("RGB"))):
                report.dropped["crops with black padding"] += 1
                continue
        middle = (sized.width / 2, sized.height / 2)
        half = min(NOMINAL_HALF_PX, *middle)
        own = annotation(report, around(*middle, half), sized.size, crop.label, share((), crop.label), nominal=True)
        others, cut = _others(report, neighbours.offsets(crop), middle, sized)
        yield Picture(
            **sized.fields(),
            slide=crop.slide or crop.case,
            patient=crop.case,
            annotations=(*(() if own is None else (own,)), *others),
            unlabelled_areas=cut,
            attributes=crop.attributes,
        )


def _others(
    report: ImportReport, offsets: list[tuple[float, float]], middle: tuple[float, float], sized: Sized
) -> tuple[list[Annotation], tuple[Box, ...]]:
    """Other figures in a crop, and the visible parts of those whose centre lies beyond its edge."""
    shown, cut = [], []
    for dx, dy in offsets:
        x, y = middle[0] + dx, middle[1] + dy
        box = around(x, y)
        if 0 <= x < sized.width and 0 <= y < sized.height:
            found = annotation(report, box, sized.size, "mitotic figure", 1.0, nominal=True)
            if found is not None:
                report.noted["figures in the crop of a neighbour, labelled there too"] += 1
                shown.append(found)
        elif _reaches(box, sized):
            x1, y1, x2, y2 = box
            cut.append((max(x1, 0.0), max(y1, 0.0), min(x2, float(sized.width)), min(y2, float(sized.height))))
    return shown, tuple(cut)


def _reaches(box: Box, sized: Sized) -> bool:
    x1, y1, x2, y2 = box
    return x1 < sized.width and y1 < sized.height and x2 > 0 and y2 > 0


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """centres : float64, shape (N, 2), px, of the figures of each case."""

    centres: dict[str, NDArray[np.float64]]

    @classmethod
    def from_crops(cls, crops: Sequence[Crop]) -> "_Neighbours":
        by_case = defaultdict(list)
        for crop in crops:
            if crop.centre is not None:
                by_case[crop.case].append(crop.centre)
        return cls({case: np.asarray(points, np.float64).reshape(-1, 2) for case, points in by_case.items()})

    def offsets(self, crop: Crop) -> list[tuple[float, float]]:
        """(dx, dy) of the case's other figures within `_NEAR_PX`."""
        if crop.centre is None:
            return []
        apart = self.centres[crop.case] - crop.centre
        near = apart[(np.abs(apart) < _NEAR_PX).all(1) & (apart != 0).any(1)]
        return [(float(dx), float(dy)) for dx, dy in near]
