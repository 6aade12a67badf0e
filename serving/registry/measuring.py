"""`python -m serving.registry.measuring REQUEST`: two cascades on a golden set, slide by slide in turns.

In turns, so that whatever else keeps the machine busy slows both. It gives way to whatever else runs: it is nobody's analysis.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import MitoserveError
from serving.core.report import Report
from serving.evaluation.picture_results import choose_clock
from serving.isolation.limits import end_with_parent
from serving.registry.golden import GoldenSlide, read_golden
from serving.registry.subprocesses import REFUSED, run_in_subprocess
from serving.registry.version import VersionRefusedError
from serving.registry.warming import warm_up
from serving.scoring.loading import load_release
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.scoring.onnx_detector import ReleasedDetector
from serving.scoring.pipeline import score_slide
from serving.scoring.reliability import reliability
from serving.settings import ServerSettings
from serving.slides.opening import open_slide

MEASURE_S = 6 * 3600.0
"""A golden set of a few slides takes minutes on a GPU and hours on two cores."""
NICE = 10


@dataclass(frozen=True, slots=True)
class CascadeMeasurement:
    """What a cascade achieved on a golden set; figures of all slides together."""

    slides: int
    figures: int
    found: int
    """Detections that count, where somebody looked."""
    matched: int
    """Figures found, one-to-one within 7.5 um."""
    brier: float | None
    """Mean squared difference of a detection's probability and whether it is a figure (Brier, 1950); None without any."""
    calibration_error: float | None
    """Expected calibration error of the detections, in ten bins of equal count."""
    seconds: float
    """On a CPU processor time over the cores, else by the clock."""
    tissue_mm2: float

    @property
    def f1(self) -> float:
        """2 matched / (figures + found)."""
        return 2 * self.matched / (self.figures + self.found)

    @property
    def seconds_per_mm2(self) -> float:
        """Of tissue."""
        return self.seconds / max(self.tissue_mm2, 1e-9)


def measure_in_subprocess(
    cascades: Sequence[Mapping[str, Path]], golden: Path, settings: ServerSettings
) -> list[CascadeMeasurement]:
    """What each of the cascades, version folders by name, achieves on a golden set, in a process of its own.

    Raises
    ------
    RefusedError
        If a slide cannot be scored, or the process does not end well or in time.
    """
    request = {
        "golden": str(golden),
        "cascades": [{name: str(folder) for name, folder in folders.items()} for folders in cascades],
        "providers": settings.providers,
    }
    answers = run_in_subprocess(
        "serving.registry.measuring", request, timeout_s=MEASURE_S, what=lambda _: f"scoring the golden set {golden}"
    )
    if len(answers) != len(cascades):
        raise VersionRefusedError(f"scoring the golden set {golden} gave no word")
    return [CascadeMeasurement(**answer) for answer in answers]


def measure(detectors: Sequence[ReleasedDetector], slides: Sequence[GoldenSlide]) -> list[CascadeMeasurement]:
    """What each detector achieves on the slides; raises `MitoserveError` where a slide cannot be scored."""
    tallies = [_Tally() for _ in detectors]
    for detector in detectors:
        warm_up(detector)
    for number, golden in enumerate(slides):
        turns = list(zip(detectors, tallies, strict=True))
        for detector, tally in turns if number % 2 == 0 else reversed(turns):
            tally.add(golden, detector)
    return [tally.summarise(slides) for tally in tallies]


class _Tally:
    """Sums over slides."""

    def __init__(self) -> None:
        self._probabilities: list[float] = []
        self._hits: list[bool] = []
        self._seconds = self._tissue_mm2 = 0.0
        self._figures = 0

    def add(self, golden: GoldenSlide, detector: ReleasedDetector) -> None:
        """Score one slide."""
        clock, cores = choose_clock(detector.provider)
        with open_slide(golden.path) as slide:
            started = clock()
            report = score_slide(slide, detector).report
            self._seconds += (clock() - started) / cores
            golden = golden.in_level_0_px(slide.stored_scale)
        self._tissue_mm2 += report.tissue.area_mm2  # that of counts is what a regions model leaves of it
        figures = golden.figures(report.slide.mpp)
        self._figures += len(figures)
        for probability, hit in _judge_detections(report, golden, figures):
            self._probabilities.append(probability)
            self._hits.append(hit)

    def summarise(self, slides: Sequence[GoldenSlide]) -> CascadeMeasurement:
        """Of all slides that were added."""
        p, hit = np.asarray(self._probabilities, np.float32), np.asarray(self._hits, np.bool_)
        return CascadeMeasurement(
            slides=len(slides),
            figures=self._figures,
            found=len(p),
            matched=int(hit.sum()),
            brier=float(((p.astype(np.float64) - hit) ** 2).mean()) if len(p) else None,
            calibration_error=reliability(p, hit).expected_calibration_error if len(p) else None,
            seconds=self._seconds,
            tissue_mm2=self._tissue_mm2,
        )


def _judge_detections(report: Report, golden: GoldenSlide, figures: NDArray[np.float64]) -> list[tuple[float, bool]]:
    """Probability of each detection, and whether it is a figure; without those where nobody looked."""
    left, top = report.slide.origin
    found = np.asarray(
        [(d.x + d.width / 2 - left, d.y + d.height / 2 - top) for d in report.detections], np.float64
    ).reshape(-1, 2)
    hits = {i for i, _ in match_centres(found, figures, MATCH_RADIUS_UM / report.slide.mpp)}
    return [
        (d.probability, i in hits)
        for i, d in enumerate(report.detections)
        if i in hits or golden.was_looked_at(found[i, 0], found[i, 1])
    ]


def main(request: str) -> None:
    """Print what each cascade achieved, a line of JSON each, or why it cannot be measured."""
    end_with_parent(signal.SIGKILL)
    os.nice(NICE)
    wanted = json.loads(request)
    try:
        slides = read_golden(Path(wanted["golden"]))
        detectors = [
            load_release({name: Path(folder) for name, folder in folders.items()}, providers=wanted["providers"])
            for folders in wanted["cascades"]
        ]
        for measured in measure(detectors, slides):
            print(json.dumps(asdict(measured)), flush=True)
    except MitoserveError as error:
        print(json.dumps({REFUSED: f"the golden set cannot be scored: {error}"}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
