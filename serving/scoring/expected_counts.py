"""The expected count of an analysis, from probabilities or scores, and the intervals of counts."""

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import ExpectedCount, Interval
from serving.scoring.analysis import MitosisMap
from serving.scoring.bootstrap import tile_interval
from serving.scoring.counting_input import CountingInput, find_cells
from serving.scoring.expected import Estimate, estimate_figures, map_weights

CALIBRATED = "calibrated by the model card's table; the interval is exploratory while few slides support the table"
OF_PROBABILITIES = (
    "from the calibrated probabilities of all candidates; the interval holds chance and the differences between patients "
    "that the model card states"
)
AFTER_REVIEW = "figures of a verdict count 1 or 0, candidates without one by their calibrated probabilities; the interval is theirs alone"
OF_FAST = "Reg-NS and Det looked where triage chose and nowhere else: nothing is expected of the rest"
UNCALIBRATED = "uncalibrated: the model card has no calibration table, so small errors of very many sub-tiles add up"


def estimate_count(found: CountingInput) -> tuple[Estimate | None, NDArray[np.float64]]:
    """What adds to the expected count, and how much each tile adds where it is of scores, shape (tiles,).

    None where neither a card states how to count probabilities nor anything was screened.
    """
    nobody = np.empty((0, 2))
    if found.candidates is not None:
        known = found.candidates
        return Estimate.from_probabilities(known.centres, known.probabilities, known.rule), np.empty(0)
    if not found.screened:
        return None, np.empty(0)
    adds, owners = _estimate_from_scores(found)
    by_tile = np.bincount(owners.ravel(), adds.ravel(), minlength=len(found.tiles) + 1)[1:].astype(np.float64)
    return Estimate(_middles(found.lattice), adds.ravel(), nobody), by_tile


def state_estimate(found: CountingInput, estimate: Estimate, by_tile: NDArray[np.float64]) -> ExpectedCount:
    """The expected count as the report has it."""
    area = found.area_mm2
    mean, interval = estimate.total()
    per_mm2 = round(mean / area, 4) if area > 0 else None
    if found.candidates is not None:
        return ExpectedCount(
            mitotic_figures=round(mean, 3),
            per_mm2=per_mm2,
            interval=state_interval(interval, area),
            calibration=None,
            note=_note(OF_PROBABILITIES, found.lattice),
            source="calibrated probabilities",
            figure_count=found.candidates.rule,
            below_threshold=found.candidates.below,
            outside=found.candidates.outside,
        )
    return ExpectedCount(
        mitotic_figures=round(mean, 3),
        per_mm2=per_mm2,
        interval=find_interval(found, by_tile),
        calibration=found.calibration,
        note=_note(UNCALIBRATED if found.calibration is None else CALIBRATED, found.lattice),
    )


def _note(note: str, lattice: MitosisMap) -> str:
    """What goes with an expected count; of a fast analysis that it is of fewer looks."""
    return note if lattice.triage is None else f"{note}; {OF_FAST}"


def state_interval(interval: tuple[float, float] | None, area: float) -> Interval | None:
    """Bounds of a count as the report has them, with those of its density; None without an area (mm2)."""
    if interval is None or area <= 0:
        return None
    low, high = interval
    return Interval(low=low, high=high, per_mm2_low=round(low / area, 4), per_mm2_high=round(high / area, 4))


def _estimate_from_scores(found: CountingInput) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """What each sub-tile adds, and which tile owns it (from 1; 0: none): both in the shape of the map."""
    lattice, side = found.lattice, found.tile_blocks
    pitch = lattice.step * side
    cells = find_cells(found.tiles, pitch)
    weights = map_weights(lattice, cells, side, found.area)
    owners = np.zeros(lattice.scores.shape, np.intp)
    # The sub-tiles on a tile's upper and left seam are its own where no neighbour's later part takes them.
    for number, (column, row) in sorted(enumerate(cells, 1), key=lambda item: (item[1][1], item[1][0])):
        part = owners[row * side : 1 + (row + 1) * side, column * side : 1 + (column + 1) * side]
        part[part == 0] = number
    return estimate_figures(lattice.scores, weights, found.calibration), owners


def find_interval(found: CountingInput, values: NDArray[np.float64]) -> Interval | None:
    """Values : figures of each tile, detected or expected."""
    tissue, area = found.tile_mm2, found.area_mm2
    # Tiles beyond the regions are none of those that might have been drawn.
    there = (tissue > 0) | (values > 0) if found.in_regions else np.ones(len(values), np.bool_)
    drawn = tile_interval(values[there], tissue[there])
    if drawn is None:
        return None
    low, high = drawn
    return Interval(
        low=round(low * area, 2), high=round(high * area, 2), per_mm2_low=round(low, 4), per_mm2_high=round(high, 4)
    )


def _middles(lattice: MitosisMap) -> NDArray[np.float64]:
    """Centres of all sub-tiles, shape (R * C, 2)."""
    rows, columns = lattice.scores.shape
    x = lattice.x + lattice.step * np.arange(columns) + lattice.window / 2
    y = lattice.y + lattice.step * np.arange(rows) + lattice.window / 2
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
