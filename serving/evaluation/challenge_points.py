"""`mitotic-figures.json` of the MIDOG challenges: points in mm, each a mitotic figure or a non-mitotic one, with a probability."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from serving.core.errors import RequestError
from serving.core.report import Report
from serving.core.validation import describe_problem
from serving.evaluation.picture_results import PictureResult, Point

FIGURE, NOT_FIGURE = "mitotic figure", "non-mitotic figure"
"""What a point is called; the challenges rank both by probability and count the first."""
FILE = "mitotic-figures.json"
_UM_PER_MM = 1000


class _ChallengePoint(BaseModel):
    model_config = ConfigDict(extra="ignore")

    point: tuple[FiniteFloat, FiniteFloat] | tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    name: str = FIGURE
    probability: float = Field(default=1.0, ge=0, le=1)


class _ChallengeFile(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: str
    points: list[_ChallengePoint]


def read_challenge_points(text: str | bytes, mpp: float, *, what: str) -> PictureResult:
    """What somebody's container found, px of a picture of `mpp` microns per px.

    what : names the file in messages

    Raises
    ------
    RequestError
        If it is no such document, or a point is called otherwise.
    """
    try:
        stated = _ChallengeFile.model_validate_json(text)
    except ValidationError as error:
        raise RequestError(f"{what} is no {FILE}: {describe_problem(error, otherwise='file')}") from error
    if stated.type != "Multiple points":
        raise RequestError(f"{what} is of type {stated.type[:40]!r}; {FILE} is of type 'Multiple points'")
    by_name: dict[str, list[Point]] = {FIGURE: [], NOT_FIGURE: []}
    for found in stated.points:
        if found.name not in by_name:
            raise RequestError(f"{what} calls a point {found.name[:40]!r}; points are called {FIGURE} or {NOT_FIGURE}")
        x, y = found.point[0] * _UM_PER_MM / mpp, found.point[1] * _UM_PER_MM / mpp
        by_name[found.name].append((x, y, found.probability))
    return PictureResult(key="", mpp=mpp, counted=tuple(by_name[FIGURE]), below=tuple(by_name[NOT_FIGURE]))


def challenge_document(report: Report, *, offset_mm: tuple[float, float] = (0.0, 0.0)) -> dict[str, Any]:
    """What was found as the challenges take it: figures, and candidates below the threshold as non-mitotic ones.

    offset_mm : of the picture's first pixel in the frame of its file
    """
    mm = report.slide.mpp / _UM_PER_MM
    return {
        "name": "mitotic figures",
        "type": "Multiple points",
        "points": [
            {
                "name": name,
                "point": [offset_mm[0] + (d.x + d.width / 2) * mm, offset_mm[1] + (d.y + d.height / 2) * mm, 0],
                "probability": d.probability,
            }
            for name, found in ((FIGURE, report.detections), (NOT_FIGURE, report.candidates))
            for d in found
        ],
        "version": {"major": 1, "minor": 0},
    }


class DetectionsOfOthers:
    """What a container found in the pictures of a benchmark: a folder with a file each, or one file with all.

    The folder holds `<picture>.json` or `<picture>/mitotic-figures.json`; the file is an object of documents by picture.
    """

    def __init__(self, path: Path) -> None:
        """Raise `RequestError` where `path` is neither."""
        self._path = path
        self._documents: dict[str, Any] = {}
        if path.is_dir():
            return
        try:
            stated = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RequestError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(stated, dict) or not all(isinstance(document, dict) for document in stated.values()):
            raise RequestError(f"{path} must be an object with the {FILE} of each picture by the picture's name")
        self._documents = stated

    def find(self, names: Iterable[str], mpp: float) -> PictureResult:
        """What was found in a picture that may be called any of `names`; raises `RequestError` where nothing is stated."""
        names = list(names)
        for name in names:
            if name in self._documents:
                return read_challenge_points(json.dumps(self._documents[name]), mpp, what=f"{self._path}, {name}")
            for file in (self._path / f"{name}.json", self._path / name / FILE):
                if self._path.is_dir() and file.is_file():
                    return read_challenge_points(file.read_bytes(), mpp, what=str(file))
        raise RequestError(f"{self._path} states nothing for {names[0]}")
