"""A cascade beyond the fields that chose its threshold: figures of cases it never saw, and tissue without figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from serving.core.options import ScoringOptions
from serving.datasets.store import Picture
from serving.evaluation.metrics import Rates, rates
from serving.scoring.detector import Detector
from serving.scoring.matching import MATCH_RADIUS_UM
from serving.scoring.pipeline import score_slide
from serving.slides.arrayslide import ArraySlide
from training.data.crops import CropBank
from training.data.windows import collage
from training.evaluation.served_analysis import analyse_picture, pair_with_truth

CELLS = 8
MPP = 0.25
_SEED = 11


@dataclass(frozen=True, slots=True)
class FalseAlarmCount:
    """Detections where there is no figure."""

    detections: int
    area_mm2: float

    @property
    def per_mm2(self) -> float:
        """Detections per mm2."""
        return self.detections / self.area_mm2

    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate, exact for a Poisson count (Garwood, 1936).

        Detections of one slide are not independent, so it is optimistic.
        """
        low = stats.chi2.ppf(0.025, 2 * self.detections) / 2 if self.detections else 0.0
        return float(low) / self.area_mm2, float(stats.chi2.ppf(0.975, 2 * self.detections + 2)) / 2 / self.area_mm2


def recall_of_crops(
    detector: Detector, bank: CropBank, *, threshold: float, share: float, say: Callable[[str], None] = print
) -> Rates:
    """Figures of crops found again in tiles of 8 x 8 crops, each crop shown about once.

    share : of the crops, those that show their figure; in the others it is covered
    """
    found = []
    for number in range(-(-len(bank) // CELLS**2)):
        pixels, boxes = collage(bank, CELLS, np.random.default_rng([_SEED, number]), share=share)
        slide = ArraySlide(pixels, mpp=MPP, name=f"collage-{number:02d}")
        report = score_slide(slide, detector, ScoringOptions(threshold=threshold)).report
        found.append(pair_with_truth(report, boxes, group="crops"))
        say(f"{slide.name}: {rates(found[-1:], threshold)}")
    return rates(found, threshold)


def false_alarms(
    detector: Detector,
    pictures: Sequence[Picture],
    root: Path,
    *,
    threshold: float,
    say: Callable[[str], None] = print,
) -> dict[str, FalseAlarmCount]:
    """Of each slide, detections in labelled pictures where no figure is, by the area that is left.

    Places where nobody looked or agreed are left out too.
    A detection within 7.5 um of such a place may be of a figure there, so that margin does not count either.
    """
    total: dict[str, FalseAlarmCount] = {}
    for picture in pictures:
        report = analyse_picture(detector, picture, root).report
        mpp = report.slide.mpp
        allowed = _find_false_alarm_area(picture, mpp)
        centres = [
            (round(d.y + d.height / 2), round(d.x + d.width / 2))
            for d in report.detections
            if d.probability >= threshold
        ]
        height, width = allowed.shape
        detections = sum(bool(allowed[min(y, height - 1), min(x, width - 1)]) for y, x in centres)
        area = float(allowed.sum()) * (mpp / 1000) ** 2
        before = total.get(picture.slide, FalseAlarmCount(0, 0.0))
        total[picture.slide] = FalseAlarmCount(before.detections + detections, before.area_mm2 + area)
        say(f"{picture.id}: {detections} in {area:.3f} mm2")
    return total


def _find_false_alarm_area(picture: Picture, mpp: float) -> NDArray[np.bool_]:
    """Where a detection is a false alarm, bool, (height, width)."""
    allowed = np.ones((picture.height, picture.width), np.bool_)
    margin = MATCH_RADIUS_UM / mpp
    for x1, y1, x2, y2 in (*picture.unlabelled_areas, *picture.ambiguous_areas, *picture.boxes().tolist()):
        left, top = (max(int(v - margin), 0) for v in (x1, y1))
        allowed[top : int(np.ceil(y2 + margin)), left : int(np.ceil(x2 + margin))] = False
    return allowed
