"""The expected count: from calibrated probabilities of candidates, or from Reg-NS scores alone by coverage weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.card_parts import CountCalibration, FigureCount
from serving.core.report import DetectionResult
from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.count_bounds import CountBounds
from serving.scoring.tiling import Cell
from serving.scoring.windows import CountingWindow

Z_95 = 1.96
"""Standard deviations on each side of a two-sided interval of 95 %, as it is stated: to a hundredth."""
FULL_COVERAGE = 4
"""Sub-tiles that show a block of a stride squared inside the lattice."""


@dataclass(frozen=True, slots=True)
class CountedCandidates:
    """Everything that the model that speaks last gave a probability, whether it counts as a figure or not.

    centres : float64, shape (N, 2), (x, y), level-0 px. probabilities : float64, shape (N,), calibrated
    rule : of the card. below : those that do not count as figures, (x, y, probability), as the report has them
    outside : the same of those outside the regions that are counted in, which are in neither array
    """

    centres: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    rule: FigureCount
    below: list[tuple[float, float, float]]
    outside: list[tuple[float, float, float]]

    @classmethod
    def from_report(
        cls,
        likely: Sequence[DetectionResult],
        below: list[tuple[float, float, float]],
        rule: FigureCount,
        bounds: CountBounds,
    ) -> "CountedCandidates":
        """From what a report holds, so that a stored result gives the same count as the analysis did.

        likely, below : wherever they are
        """
        inside = bounds.hold(np.asarray(below, np.float64).reshape(-1, 3)[:, :2]).tolist()
        counted = [row for row, held in zip(below, inside, strict=True) if held]
        rows = np.asarray([(d.x + d.width / 2, d.y + d.height / 2, d.probability) for d in likely], np.float64)
        rows = rows.reshape(-1, 3)[bounds.hold(rows.reshape(-1, 3)[:, :2])]
        array = np.concatenate([rows, np.asarray(counted, np.float64).reshape(-1, 3)])
        outside = [row for row, held in zip(below, inside, strict=True) if not held]
        return cls(array[:, :2], array[:, 2], rule, counted, outside)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What adds to an expected count, place by place.

    centres : float64, shape (N, 2), (x, y), level-0 px, of sub-tiles or candidates. adds : float64, shape (N,)
    certain : float64, shape (K, 2), figures that somebody confirmed; each adds one
    probabilities : float64, shape (N,), of candidates, with `rule`; both None where sub-tiles add
    """

    centres: NDArray[np.float64]
    adds: NDArray[np.float64]
    certain: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    rule: FigureCount | None = None

    @classmethod
    def from_probabilities(
        cls,
        centres: NDArray[np.float64],
        probabilities: NDArray[np.float64],
        rule: FigureCount,
        *,
        certain: NDArray[np.float64] | None = None,
    ) -> "Estimate":
        """Of candidates that nobody judged, and of figures that somebody confirmed."""
        confirmed = np.empty((0, 2)) if certain is None else certain
        return cls(centres, rule.factor * probabilities, confirmed, probabilities, rule)

    def total(self) -> tuple[float, tuple[float, float] | None]:
        """The expected count everywhere, and its interval of 95 %; None where no probabilities give one."""
        return self._sum(np.ones(len(self.centres), np.bool_), len(self.certain))

    def within(self, window: CountingWindow, corner: NDArray[np.float64]) -> tuple[float, tuple[float, float] | None]:
        """The same in a window.

        corner : (2,), (x, y), level-0 px, of its bounding box
        """
        held = window.holds(corner[None], self.centres)[0]
        return self._sum(held, int(window.holds(corner[None], self.certain)[0].sum()))

    def _sum(self, held: NDArray[np.bool_], certain: int) -> tuple[float, tuple[float, float] | None]:
        if self.probabilities is None or self.rule is None:
            return float(self.adds[held].sum()) + certain, None
        mean, low, high = count_figures(self.probabilities[held], self.rule.factor, self.rule.spread)
        return mean + certain, (round(low + certain, 2), round(high + certain, 2))


def count_figures(probabilities: NDArray[np.float64], factor: float, spread: float) -> tuple[float, float, float]:
    """The expected number of figures among candidates and in what none shows, and its interval of 95 %.

    The variance is that of independent draws, sum p (1 - p), of a Poisson number of figures that no candidate shows,
    (factor - 1) sum p, and of differences between patients, (spread x count)^2.

    probabilities : float64, shape (N,), calibrated. factor, spread : see `FigureCount`
    """
    total = float(probabilities.sum())
    count = factor * total
    half = Z_95 * math.sqrt(chance_variance(probabilities, factor) + (spread * count) ** 2)
    return count, max(count - half, 0.0), count + half


def chance_variance(probabilities: NDArray[np.float64], factor: float) -> float:
    """Variance of the number of figures where calibration is perfect: see `count_figures`."""
    return float((probabilities * (1 - probabilities)).sum() + (factor - 1) * probabilities.sum())


def coverage_weights(scored: NDArray[np.bool_], counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each sub-tile, float64, shape (R, C), so that figures count as much as their block is to.

    A score is a sum of area fractions, so it counts a figure once for each sub-tile that shows it. Sub-tile t, two blocks of
    a stride a side, gets w_t = the mean over its blocks of counted / coverage: a quarter inside the lattice; .5625, .375
    and .25 in corner, edge and middle of an isolated tile of 8 x 8 blocks.

    scored : bool, shape (R, C). counted : shape (R + 1, C + 1), how much of a figure in each block is to be counted
    """
    coverage = np.zeros(counted.shape)
    for row in (0, 1):
        for column in (0, 1):
            coverage[row : row + scored.shape[0], column : column + scored.shape[1]] += scored
    share = np.divide(counted, coverage, out=np.zeros_like(counted), where=coverage > 0)
    sums = share[:-1, :-1] + share[1:, :-1] + share[:-1, 1:] + share[1:, 1:]
    return np.where(scored, sums / FULL_COVERAGE, 0.0)


def map_weights(lattice: MitosisMap, cells: Sequence[Cell], side: int, area: Area) -> NDArray[np.float64]:
    """Weights of a slide's sub-tiles, shape (rows, columns) of the map.

    A block counts as far as it lies in the analysed area: pixels mirrored beyond the slide's border show figures again and
    count nothing. Around the scored tiles, blocks are seen by fewer sub-tiles and count as far as they are seen, since a
    larger weight would count the figures of the tiles' outermost blocks more than once.

    cells : (column, row) of the tiles that were scored. side : blocks along a tile's side
    """
    scored = ~np.isnan(lattice.scores)
    rows, columns = scored.shape
    in_tiles = np.zeros((rows + 1, columns + 1), np.bool_)
    for column, row in cells:
        in_tiles[1 + row * side : 1 + (row + 1) * side, 1 + column * side : 1 + (column + 1) * side] = True
    padded = np.pad(scored, 1).astype(np.float64)
    coverage = padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]
    analysed = area.shares(
        lattice.x + lattice.step * np.arange(columns + 2), lattice.y + lattice.step * np.arange(rows + 2)
    )
    return coverage_weights(scored, analysed * np.where(in_tiles, 1.0, coverage / FULL_COVERAGE))


def estimate_figures(
    scores: NDArray[np.float32], weights: NDArray[np.float64], calibration: CountCalibration | None
) -> NDArray[np.float64]:
    """What each sub-tile adds to the expected count: w_t g(s_t) / mean agreement; 0 where nothing was scored.

    g is the card's isotonic calibration, straight between its points and level beyond them. Without one the score stands
    for itself, and a small offset on very many sub-tiles adds up.
    """
    known = np.nan_to_num(scores.astype(np.float64), nan=0.0)
    if calibration is None:
        return known * weights
    fitted = np.interp(known, calibration.scores, calibration.values)
    return np.asarray(fitted / calibration.mean_agreement * weights)
