"""The normalised store: what every reader of a published format gives and all of training takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from serving.datasets.documents import read_document
from serving.datasets.patient import current_case

Box = tuple[float, float, float, float]
"""xyxy, level-0 px of the picture, half-open."""
Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Vote(_Record):
    """One rater's word on one object."""

    rater: str
    mitotic: bool


class Annotation(_Record):
    """A boxed object: a mitotic figure, or a look-alike that was labelled as such (a hard negative)."""

    box: Box
    label: Literal["mitotic figure", "look-alike"]
    agreement: Share
    """Share of the raters who call it a mitotic figure; 1 or 0 where a source states only its verdict."""
    votes: tuple[Vote, ...] = ()
    nominal: bool = False
    """True where the source gives a point, so that the box's size is a convention and not an outline."""


class Picture(_Record):
    """A slide, field or crop with its labels."""

    id: str
    """Unique in the data set; the picture's path without its suffix is the habit."""
    path: str
    """Relative to the data set's `root`."""
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    mpp: float | None = Field(default=None, gt=0)
    """um/px; None where the source does not say."""
    slide: str
    patient: Annotated[str, AfterValidator(current_case)]
    """The unit of a split: whatever shows one patient's tissue, on any scanner and in any data set, has one name here
    (`serving.datasets.patient`); a source without patients gives its slide."""
    labelled: bool = True
    """False: nobody looked, so that the absence of a box says nothing."""
    annotations: tuple[Annotation, ...] = ()
    unlabelled_areas: tuple[Box, ...] = ()
    """Where nobody looked, or pixels are spoilt: neither positives nor negatives come from here."""
    ambiguous_areas: tuple[Box, ...] = ()
    """What too few labelers boxed to count: background by the paper's rule, or left out of the negatives
    (`exclude_ambiguous_negatives`)."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """What else the source states: tumour, scanner, species, split."""

    def boxes(self, label: Literal["mitotic figure", "look-alike"] = "mitotic figure") -> NDArray[np.float32]:
        """Boxes of one label. -> float32, shape (N, 4), xyxy, level-0 px."""
        rows = [a.box for a in self.annotations if a.label == label]
        return np.asarray(rows, np.float32).reshape(-1, 4)

    def centres(self, label: Literal["mitotic figure", "look-alike"] = "mitotic figure") -> NDArray[np.float32]:
        """Centres of one label; of a nominal box that the picture's edge cuts, the point that it was drawn around.

        -> float32, shape (N, 2), (x, y), level-0 px
        """
        rows = [self._centre(a) for a in self.annotations if a.label == label]
        return np.asarray(rows, np.float32).reshape(-1, 2)

    def _centre(self, annotation: Annotation) -> tuple[float, float]:
        x1, y1, x2, y2 = annotation.box
        if not annotation.nominal:
            return (x1 + x2) / 2, (y1 + y2) / 2
        half = max(x2 - x1, y2 - y1) / 2
        return _uncut(x1, x2, half, self.width), _uncut(y1, y2, half, self.height)

    def agreements(self) -> NDArray[np.float32]:
        """Agreement of each mitotic figure, in the order of `boxes()`. -> float32, shape (N,)."""
        return np.asarray([a.agreement for a in self.annotations if a.label == "mitotic figure"], np.float32)


class Dataset(_Record):
    """Pictures of one source."""

    schema_version: Literal["1.0"] = "1.0"
    name: str
    format: str
    """The reader that made it."""
    licence: str
    root: str
    """Folder that the pictures' paths start from."""
    pictures: tuple[Picture, ...]

    def __iter__(self) -> Iterator[Picture]:  # type: ignore[override]
        """The pictures, in order."""
        return iter(self.pictures)


def _uncut(low: float, high: float, half: float, limit: float) -> float:
    """The middle of an interval of length 2 half before it was cut at 0 or at `limit`."""
    if low <= 0:
        return high - half
    return low + half if high >= limit else (low + high) / 2


def make_box(row: NDArray[np.floating[Any]]) -> Box:
    """A box from an array of its four numbers."""
    x1, y1, x2, y2 = (float(v) for v in row)
    return x1, y1, x2, y2


def write_store(dataset: Dataset, path: Path) -> None:
    """Write a data set as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(dataset.model_dump_json(indent=1, exclude_defaults=True))
    part.replace(path)


def read_store(path: Path) -> Dataset:
    """The data set that `write_store` wrote.

    Raises
    ------
    ValueError
        If the file is no such data set; the message names the file and the first wrong field.
    """
    return read_document(path, Dataset)
