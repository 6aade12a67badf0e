"""What a release found in one picture, kept in a file of its own, so that a benchmark that was stopped goes on."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from serving import __version__
from serving.core.options import ScoringOptions
from serving.core.report import SCHEMA_VERSION, DetectionResult
from serving.datasets.pictures import open_picture
from serving.datasets.store import Picture
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.detector import AnyDetector, list_released_cards
from serving.scoring.int8 import INT8
from serving.scoring.openvino_session import PRECISIONS
from serving.scoring.pipeline import score_slide

Point = tuple[float, float, float]
"""x and y of a centre, level-0 px, and a probability."""


class PictureResult(BaseModel):
    """What was found in one picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    """Of the picture, its resolution, the models and this software; empty of what others found."""
    mpp: float
    counted: tuple[Point, ...]
    """Mitotic figures: at or above the threshold of the release's own card."""
    below: tuple[Point, ...]
    """Candidates below it, which average precision looks at too."""
    seconds: float | None = None
    """By `choose_clock`; None where it was not scored here."""
    tissue_mm2: float | None = None


def choose_clock(provider: str) -> tuple[Callable[[], float], int]:
    """A clock for what a provider computes, and what its seconds are divided by.

    On a CPU these are processor seconds over the cores: that others keep a machine busy is not the models' fault.
    """
    if provider in ("CPUExecutionProvider", INT8, *PRECISIONS):
        return time.process_time, len(os.sched_getaffinity(0))
    return time.perf_counter, 1


class PictureScorer:
    """Scores pictures with one release and keeps each result below a folder."""

    def __init__(self, detector: AnyDetector, folder: Path) -> None:
        self._detector, self.folder = detector, folder
        cards = [card.model_dump(mode="json") for card in list_released_cards(detector)]
        self._models = [cards, detector.provider, find_rounding(detector.provider), __version__, SCHEMA_VERSION]

    def key(self, picture: Picture, path: Path) -> str:
        """Hash of all that determines the result: size and time of change stand for the file's content."""
        found = path.stat() if path.is_file() else None
        stamp = None if found is None else (found.st_size, found.st_mtime_ns)
        stated = [picture.id, picture.mpp, picture.width, picture.height, stamp, self._models]
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()

    def find(self, picture: Picture, root: Path) -> PictureResult | None:
        """The result that an earlier run kept; None where there is none of this picture as it is."""
        try:
            kept = PictureResult.model_validate_json(self._file(picture).read_bytes())
        except (OSError, ValidationError):
            return None
        return kept if kept.key == self.key(picture, root / picture.path) else None

    def score(
        self, picture: Picture, root: Path, *, on_progress: Callable[[int, int], None] | None = None
    ) -> PictureResult:
        """Score a picture and keep the result.

        Raises
        ------
        MitoserveError, OSError
            If the picture cannot be scored; nothing is kept, so that the next run tries again.
        """
        with open_picture(root / picture.path, name=picture.id) as slide:
            clock, cores = choose_clock(self._detector.provider)
            started = clock()
            report = score_slide(slide, self._detector, ScoringOptions(mpp=picture.mpp), on_progress=on_progress).report
            seconds = (clock() - started) / cores
        made = PictureResult(
            key=self.key(picture, root / picture.path),
            mpp=report.slide.mpp,
            counted=_points(report.detections),
            below=_points(report.candidates),
            seconds=seconds,
            tissue_mm2=report.tissue.area_mm2,
        )
        file = self._file(picture)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(made.model_dump_json())
        os.replace(part, file)
        return made

    def _file(self, picture: Picture) -> Path:
        return self.folder / f"{hashlib.sha256(picture.id.encode()).hexdigest()[:24]}.json"


def _points(found: Sequence[DetectionResult]) -> tuple[Point, ...]:
    return tuple((d.x + d.width / 2, d.y + d.height / 2, d.probability) for d in found)
