"""From figures, scores and tissue to counts and hotspots. No model is needed, so a stored result can be counted again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.modelcard import CountCalibration
from serving.core.options import CountingOptions
from serving.core.profiles import NO_PROFILE, OWN_PROFILE, Profile, load_profile
from serving.core.report import (
    Counting,
    Counts,
    Distribution,
    ExpectedCount,
    Hotspot,
    Interval,
    ReviewedCounts,
    TileResult,
)
from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.bootstrap import tile_interval
from serving.scoring.expected import CountedCandidates, Estimate, estimate_figures, map_weights
from serving.scoring.reviewed import ReviewedFigures
from serving.scoring.tiling import Cell
from serving.scoring.window_counts import WindowCounts
from serving.scoring.windows import rectangle_sides

HOTSPOT_MM2 = 2.0
"""The counting area of current practice (WHO classifications)."""
CALIBRATED = "calibrated by the model card's table; the interval is exploratory while few slides support the table"
OF_PROBABILITIES = (
    "from the calibrated probabilities of all candidates; the interval holds chance and the differences between patients "
    "that the model card states"
)
AFTER_REVIEW = "figures of a verdict count 1 or 0, candidates without one by their calibrated probabilities; the interval is theirs alone"
UNCALIBRATED = "uncalibrated: the model card has no calibration table, so small errors of very many sub-tiles add up"


@dataclass(frozen=True, slots=True)
class CountingInput:
    """What an analysis found, before it is counted.

    centres : float64, shape (N, 2), (x, y), level-0 px, of figures that count
    area : analysed tissue; `within` the region that was analysed, level-0 px
    """

    centres: NDArray[np.float64]
    tiles: Sequence[TileResult]
    lattice: MitosisMap
    area: Area
    within: Region
    tile_blocks: int
    """Strides along a tile's side."""
    calibration: CountCalibration | None
    candidates: CountedCandidates | None = None
    """Where the card states how to count probabilities: the expected count is then of these, and not of scores."""
    screened: bool = True
    """Whether the map is of screening scores, from which a count can be expected."""
    review: ReviewedFigures | None = None
    """None where nobody asks for the counts after review."""


@dataclass(frozen=True, slots=True)
class CountingResult:
    """What `count` gives; as in the report."""

    counts: Counts
    hotspots: list[Hotspot]
    fields: list[Hotspot]
    review: ReviewedCounts | None
    warnings: list[str]


def resolve_counting(options: CountingOptions, *, threshold: float | None = None) -> Counting:
    """The options as the report states them, nothing left open."""
    profile = _profile(options)
    diameter = options.field_diameter
    area = options.hotspot_area or (profile.area_mm2 if profile is not None else HOTSPOT_MM2)
    if diameter is not None:
        area = options.fields * math.pi * (diameter / 2) ** 2
    return Counting(
        hotspot_area_mm2=round(area, 6),
        hotspot_shape=options.hotspot_shape,
        hotspots=options.hotspots,
        hotspot_min_tissue=options.hotspot_min_tissue,
        field_diameter_mm=diameter,
        fields=None if diameter is None else options.fields,
        profile=OWN_PROFILE if options.cut_offs is not None else None if profile is None else profile.name,
        threshold=threshold,
        cut_offs=None if options.cut_offs is None else list(options.cut_offs),
    )


def count(found: CountingInput, settings: Counting, fields: Sequence[tuple[float, float]] = ()) -> CountingResult:
    """Everything that is counted, of the model's figures and of those after review, by the same rules.

    fields : middles (x, y), level-0 px, of windows that are counted where they are
    """
    area = round(found.area.total * (found.lattice.mpp / 1000) ** 2, 4)
    estimate, by_tile = _estimate(found)
    windows = WindowCounts(
        within=found.within,
        area=found.area,
        mpp=found.lattice.mpp,
        settings=settings,
        centres=found.centres,
        estimate=estimate,
        review=found.review,
    )
    hotspots = windows.search(found.centres, "model")
    detected = np.asarray([tile.mitotic_count for tile in found.tiles], np.float64)
    counts = _counts(
        found,
        settings,
        found.centres,
        by_tile=detected,
        first=hotspots[:1],
        expected=None if estimate is None else _state_estimate(found, estimate, by_tile),
    )
    warnings = []
    if len(found.centres) and settings.hotspots and not hotspots:
        warnings.append(
            f"no window of {windows.area_mm2:.2f} mm2 with figures holds {settings.hotspot_min_tissue:.0%} tissue; "
            "lower hotspot_min_tissue or the area for a hotspot"
        )
    return CountingResult(
        counts=counts,
        hotspots=hotspots,
        fields=[windows.count_around(*middle) for middle in fields],
        review=None if found.review is None else _count_reviewed(found, found.review, settings, windows, area),
        warnings=warnings,
    )


def _count_reviewed(
    found: CountingInput, review: ReviewedFigures, settings: Counting, windows: WindowCounts, area: float
) -> ReviewedCounts:
    pitch = found.lattice.step * found.tile_blocks
    by_tile = figures_by_tile(review.centres, find_cells(found.tiles, pitch), pitch) if found.tiles else []
    hotspots = windows.search(review.centres, "review")
    expected = None
    if windows.reviewed_estimate is not None and found.candidates is not None:
        mean, interval = windows.reviewed_estimate.total()
        expected = ExpectedCount(
            mitotic_figures=round(mean, 3),
            per_mm2=round(mean / area, 4) if area > 0 else None,
            interval=_state_interval(interval, area),
            calibration=None,
            note=AFTER_REVIEW,
            source="calibrated probabilities",
            figure_count=found.candidates.rule,
        )
    first = [
        hotspot.model_copy(update={"component": h.component}) for hotspot in hotspots[:1] if (h := hotspot.reviewed)
    ]
    decision = review.decision
    return ReviewedCounts(
        reviewers=list(decision.reviewers),
        rule="majority" if decision.majority else "one reviewer",
        last_entry=decision.last_entry,
        accepted=review.accepted,
        rejected=review.rejected,
        added=review.added,
        unjudged=review.unjudged,
        counts=_counts(
            found,
            settings,
            review.centres,
            by_tile=np.asarray(by_tile, np.float64),
            first=first,
            expected=expected,
        ),
        hotspots=hotspots,
        objects=list(decision.objects),
    )


def _counts(
    found: CountingInput,
    settings: Counting,
    centres: NDArray[np.float64],
    *,
    by_tile: NDArray[np.float64],
    first: list[Hotspot],
    expected: ExpectedCount | None,
) -> Counts:
    """Counts of the whole analysed area.

    by_tile : figures of each tile. first : the first hotspot, with its component
    """
    mpp = found.lattice.mpp
    area = round(found.area.total * (mpp / 1000) ** 2, 4)
    tissue = np.asarray([tile.tissue_fraction * tile.width * tile.height for tile in found.tiles]) * (mpp / 1000) ** 2
    return Counts(
        mitotic_figures=len(centres),
        tissue_area_mm2=area,
        per_mm2=round(len(centres) / area, 4) if area > 0 else None,
        interval=_interval(by_tile, tissue, area),
        expected=expected,
        distribution=_distribution(found, settings, centres),
        component=first[0].component if first else None,
    )


def figures_by_tile(centres: NDArray[np.floating], cells: Sequence[Cell], pitch: float) -> list[int]:
    """Figures of each tile: those centred in it, and those that it saw across a seam in a tile that is not scored.

    centres : float, shape (N, 2), level-0 px. pitch : level-0 px of a tile's side
    """
    counts = [0] * len(cells)
    corners = np.asarray(cells, np.float64).reshape(-1, 2) * pitch
    numbers = {cell: number for number, cell in enumerate(cells)}
    for centre in centres:
        number = numbers.get((int(centre[0] // pitch), int(centre[1] // pitch)))
        if number is not None and _is_in_tile(centre, corners[number], pitch):
            counts[number] += 1
            continue
        # A tile is half-open: its last point is just before the next one's first.
        outside = np.maximum(corners - centre, centre - np.nextafter(corners + pitch, 0)).clip(0).max(1)
        counts[int(np.argmin(outside))] += 1
    return counts


def _is_in_tile(centre: NDArray[np.floating], corner: NDArray[np.float64], pitch: float) -> bool:
    return bool((centre >= corner).all() and (centre < corner + pitch).all())


def find_cells(tiles: Sequence[TileResult], pitch: float) -> list[Cell]:
    """(column, row) of tiles in the grid."""
    return [(round(tile.x / pitch), round(tile.y / pitch)) for tile in tiles]


def _profile(options: CountingOptions) -> Profile | None:
    return None if options.profile == NO_PROFILE else load_profile(options.profile)


def _estimate(found: CountingInput) -> tuple[Estimate | None, NDArray[np.float64]]:
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


def _state_estimate(found: CountingInput, estimate: Estimate, by_tile: NDArray[np.float64]) -> ExpectedCount:
    """The expected count as the report has it."""
    mpp = found.lattice.mpp
    area = round(found.area.total * (mpp / 1000) ** 2, 4)
    mean, interval = estimate.total()
    per_mm2 = round(mean / area, 4) if area > 0 else None
    if found.candidates is not None:
        return ExpectedCount(
            mitotic_figures=round(mean, 3),
            per_mm2=per_mm2,
            interval=_state_interval(interval, area),
            calibration=None,
            note=OF_PROBABILITIES,
            source="calibrated probabilities",
            figure_count=found.candidates.rule,
            below_threshold=found.candidates.below,
        )
    tissue = np.asarray([tile.tissue_fraction * tile.width * tile.height for tile in found.tiles]) * (mpp / 1000) ** 2
    return ExpectedCount(
        mitotic_figures=round(mean, 3),
        per_mm2=per_mm2,
        interval=_interval(by_tile, tissue, area),
        calibration=found.calibration,
        note=UNCALIBRATED if found.calibration is None else CALIBRATED,
    )


def _state_interval(interval: tuple[float, float] | None, area: float) -> Interval | None:
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


def _interval(values: NDArray[np.float64], tissue: NDArray[np.float64], area: float) -> Interval | None:
    drawn = tile_interval(values, tissue)
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


def _distribution(found: CountingInput, settings: Counting, centres: NDArray[np.float64]) -> Distribution | None:
    """Counts in side-by-side 4:3 windows; a disc's are rectangles of its area."""
    within, mpp = found.within, found.lattice.mpp
    width, height = rectangle_sides(settings.hotspot_area_mm2 * (1000 / mpp) ** 2)
    columns, rows = int(within.width // width), int(within.height // height)
    if not columns or not rows:
        return None
    x = within.x + width * np.arange(columns + 1, dtype=np.float64)
    y = within.y + height * np.arange(rows + 1, dtype=np.float64)
    held, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=(y, x))
    valid = held[found.area.shares(x, y) >= settings.hotspot_min_tissue]
    if not len(valid):
        return None
    return Distribution(
        windows=len(valid),
        mean=round(float(valid.mean()), 4),
        quantiles=[float(v) for v in np.quantile(valid, (0, 0.25, 0.5, 0.75, 1))],
    )
