"""A golden set: a folder of slides whose mitotic figures are known, by which releases are judged before they serve.

`<slide>.geojson` beside `<slide>.svs` (or any other format) holds the figures as QuPath, the exports and the corrections of
a review write them: each feature of a class that means a mitotic figure. Where some are of a class that means a reviewed area,
only what is found inside of those can be a false alarm.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.annotations import (
    MITOTIC,
    ONE_FIGURE_UM,
    REVIEWED,
    Box,
    join_boxes,
    make_bounding_box,
    normalize_class,
)
from serving.registry.version import GoldenSetError
from serving.store.mounted import make_stamp

_TRUTH = ".geojson"


@dataclass(frozen=True, slots=True)
class GoldenSlide:
    """A slide and what is known of it, level-0 px from where the slide's bounds begin, as QuPath has it.

    outlines : the boxes of each feature's parts; reviewed : float64, shape (M, 4), xyxy, of the areas that were looked
        at; none where all of it was
    """

    path: Path
    outlines: Sequence[Sequence[Box]]
    reviewed: NDArray[np.float64]

    def in_level_0_px(self, stored_scale: tuple[float, float]) -> "GoldenSlide":
        """The truth in level-0 px: QuPath writes px of the file, and a slide whose pixels are not square is read in square ones.

        stored_scale : px of the file per level-0 px along x and y
        """
        across, down = stored_scale
        outlines = [[(a / across, b / down, c / across, d / down) for a, b, c, d in parts] for parts in self.outlines]
        return GoldenSlide(self.path, outlines, self.reviewed / (across, down, across, down))

    def figures(self, mpp: float) -> NDArray[np.float64]:
        """Centres (x, y) of the figures, float64, shape (N, 2); parts of an outline that are near are one figure.

        mpp : um per level-0 px
        """
        boxes = [box for parts in self.outlines for box in join_boxes(parts, ONE_FIGURE_UM / mpp)]
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        return (corners[:, :2] + corners[:, 2:]) / 2

    def was_looked_at(self, x: float, y: float) -> bool:
        """Whether a place without a figure is known to have none."""
        return not len(self.reviewed) or any(a <= x < c and b <= y < d for a, b, c, d in self.reviewed)


def read_golden(folder: Path) -> list[GoldenSlide]:
    """The slides of a golden set, by name.

    Raises
    ------
    GoldenSetError
        If it holds no slide with its truth, no figure, or a file that is not GeoJSON.
    """
    if not folder.is_dir():
        raise GoldenSetError(f"the golden set {folder} is no folder; see MITOSIS_GOLDEN_SET")
    slides = [_slide(truth) for truth in sorted(folder.glob(f"*{_TRUTH}"))]
    if not slides:
        raise GoldenSetError(
            f"no {_TRUTH} in the golden set {folder}; put one beside each slide, with the slide's name"
        )
    if not any(slide.outlines for slide in slides):
        raise GoldenSetError(f"no mitotic figure in the golden set {folder}; classes are {', '.join(sorted(MITOTIC))}")
    return slides


def golden_digest(slides: list[GoldenSlide]) -> str:
    """Hash of what the set says, and of the slides' names, sizes and times of change."""
    stated = [
        (slide.path.name, make_stamp(slide.path), hashlib.sha256(_truth_path(slide.path).read_bytes()).hexdigest())
        for slide in slides
    ]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def _truth_path(slide: Path) -> Path:
    return slide.with_name(f"{slide.stem}{_TRUTH}")


def _slide(truth: Path) -> GoldenSlide:
    beside = (path for path in sorted(truth.parent.iterdir()) if path.is_file() and path.stem == truth.stem)
    found = [path for path in beside if path.suffix not in (_TRUTH, ".json")]
    if len(found) != 1:
        raise GoldenSetError(f"{len(found)} slides belong to {truth}; put one of that name beside it")
    try:
        features = json.loads(truth.read_bytes())["features"]
        outlines = [(_class(feature), list(_objects(feature["geometry"]))) for feature in features]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GoldenSetError(f"{truth} is not GeoJSON as QuPath writes it: {error!r:.200}") from error
    figures = [parts for name, objects in outlines if name in MITOTIC for parts in objects]
    areas = [box for name, objects in outlines if name in REVIEWED for parts in objects for box in parts]
    return GoldenSlide(found[0], figures, np.asarray(areas, np.float64).reshape(-1, 4))


def _class(feature: dict[str, Any]) -> str:
    stated = (feature.get("properties") or {}).get("classification") or ""
    name = stated if isinstance(stated, str) else ": ".join(stated.get("names") or [stated.get("name") or ""])
    return normalize_class(name)


def _objects(geometry: dict[str, Any]) -> Iterator[list[Box]]:
    """The boxes of the parts of each object: each point is one, and the polygons of several are parts of one outline."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    boxes = [
        make_bounding_box(list(_points(part))) for part in (coordinates if kind.startswith("Multi") else [coordinates])
    ]
    yield from ([box] for box in boxes) if kind == "MultiPoint" else [boxes]


def _points(coordinates: list[Any]) -> Iterator[tuple[float, float]]:
    if coordinates and not isinstance(coordinates[0], list):
        yield float(coordinates[0]), float(coordinates[1])
        return
    for part in coordinates:
        yield from _points(part)
