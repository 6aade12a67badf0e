"""What was found in a picture beside what its labels say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.datasets.store import Picture
from serving.evaluation.metrics import FieldDetections, Rates, rates
from serving.evaluation.picture_results import PictureResult, Point
from serving.evaluation.ranking import Ranking, rank_scores
from serving.scoring.hotspot import find_hotspots
from serving.scoring.windows import make_window

HOTSPOT_MM2 = 2.0
"""Area of the hotspots that are compared: about ten high-power fields, as MIDOG's fields have it."""


@dataclass(frozen=True, slots=True)
class MeasuredPicture:
    """Counts of one picture, and what ranks its detections.

    probabilities : float32, shape (N,), of all detections with those below the threshold; hits : bool, shape (N,)
    hotspot_overlap : intersection over union of the fullest windows of what was counted and of what is true; None where the
        window is no smaller than the picture or one of the two is empty
    """

    picture: Picture
    rates: Rates
    probabilities: NDArray[np.float32]
    hits: NDArray[np.bool_]
    hotspot_overlap: float | None
    hotspot_true: int | None
    """True figures in the window that was found; None as `hotspot_overlap`."""
    hotspot_most: int | None
    """True figures in the fullest window."""
    seconds: float | None
    tissue_mm2: float | None

    @property
    def true(self) -> int:
        """Labelled figures."""
        return self.rates.true_positives + self.rates.false_negatives

    @property
    def counted(self) -> int:
        """Figures that count, where somebody looked."""
        return self.rates.true_positives + self.rates.false_positives


def measure_picture(picture: Picture, found: PictureResult, *, hotspot_mm2: float = HOTSPOT_MM2) -> MeasuredPicture:
    """Hold what was found in a picture against its labels: one-to-one within 7.5 um.

    What lies where nobody looked is left out unless it is a labelled figure.
    """
    counted = _field(picture, found, found.counted)
    ranked = _field(picture, found, (*found.counted, *found.below))
    of = ranked.outcomes()
    kept = ~of.ambiguous
    overlap, held, most = _compare_hotspots(picture, found.mpp, counted.centres, counted.truth, hotspot_mm2)
    return MeasuredPicture(
        picture=picture,
        rates=rates([counted], -np.inf),
        probabilities=ranked.probabilities[kept],
        hits=of.hits[kept],
        hotspot_overlap=overlap,
        hotspot_true=held,
        hotspot_most=most,
        seconds=found.seconds,
        tissue_mm2=found.tissue_mm2,
    )


def rank_measured(judged: Sequence[MeasuredPicture]) -> Ranking:
    """All detections of several pictures, the most probable first."""
    if not judged:
        return rank_scores(np.empty(0, np.float32), np.empty(0, np.bool_), np.empty(0, np.str_), {})
    probabilities = np.concatenate([j.probabilities for j in judged])
    figures = {"all": sum(j.true for j in judged)}
    return rank_scores(
        probabilities, np.concatenate([j.hits for j in judged]), np.full(len(probabilities), "all"), figures
    )


def _field(picture: Picture, found: PictureResult, points: Sequence[Point]) -> FieldDetections:
    rows = np.asarray(points, np.float32).reshape(-1, 3)
    every = _detections(picture, found.mpp, rows)
    if not picture.unlabelled_areas:
        return every
    areas = np.asarray(picture.unlabelled_areas, np.float32)
    x, y = rows[:, :1], rows[:, 1:2]
    unseen = ((x >= areas[:, 0]) & (y >= areas[:, 1]) & (x < areas[:, 2]) & (y < areas[:, 3])).any(1)
    return _detections(picture, found.mpp, rows[~unseen | every.outcomes().hits])


def _detections(picture: Picture, mpp: float, rows: NDArray[np.float32]) -> FieldDetections:
    return FieldDetections(
        name=picture.id,
        group=picture.patient,
        mpp=mpp,
        centres=rows[:, :2],
        probabilities=rows[:, 2],
        scores=np.zeros(len(rows), np.float32),
        truth=picture.centres(),
    )


def _compare_hotspots(
    picture: Picture, mpp: float, counted: NDArray[np.float32], true: NDArray[np.float32], area_mm2: float
) -> tuple[float | None, int | None, int | None]:
    size = picture.width, picture.height
    if not len(counted) or not len(true) or size[0] * size[1] * (mpp / 1000) ** 2 <= area_mm2:
        return None, None, None
    window = make_window("rectangle", area_mm2, mpp, Region(0, 0, *size))
    points = [places.astype(np.float64) for places in (counted, true)]
    own, best = (find_hotspots(places, window=window, size=size, number=1)[:1] for places in points)
    across, down = np.maximum((window.width, window.height) - np.abs(own[0] - best[0]), 0.0)
    shared = float(across * down)
    held, most = (int(window.holds(place, points[1]).sum()) for place in (own, best))
    return shared / (2 * window.area - shared), held, most
