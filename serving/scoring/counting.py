"""From figures, scores and tissue to counts and hotspots. No model is needed, so a stored result can be counted again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.modelcard import CountCalibration
from serving.core.options import CountingOptions
from serving.core.profiles import NO_PROFILE, Profile, load_profile
from serving.core.report import (
    CountComponent,
    Counting,
    Counts,
    Distribution,
    ExpectedCount,
    Hotspot,
    Interval,
    TileResult,
)
from serving.scoring.analysis import MitosisMap
from serving.scoring.area import Area
from serving.scoring.bootstrap import tile_interval
from serving.scoring.expected import CountedCandidates, count_figures, estimate_figures, map_weights
from serving.scoring.hotspot import find_hotspots
from serving.scoring.tiling import Cell
from serving.scoring.windows import CountingWindow, Disc, make_window, rectangle_sides

HOTSPOT_MM2 = 2.0
"""The counting area of current practice (WHO classifications)."""
CALIBRATED = "calibrated by the model card's table; the interval is exploratory while few slides support the table"
OF_PROBABILITIES = (
    "from the calibrated probabilities of all candidates; the interval holds chance and the differences between patients "
    "that the model card states"
)
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
        profile=None if profile is None else profile.name,
        threshold=threshold,
    )


def count(found: CountingInput, settings: Counting) -> tuple[Counts, list[Hotspot], list[str]]:
    """Counts with their intervals, hotspots, and warnings."""
    mpp = found.lattice.mpp
    area = round(found.area.total * (mpp / 1000) ** 2, 4)
    detected = np.asarray([tile.mitotic_count for tile in found.tiles], np.float64)
    tissue = np.asarray([tile.tissue_fraction * tile.width * tile.height for tile in found.tiles]) * (mpp / 1000) ** 2
    expected, places, adds = _estimate_count(found, tissue, area)
    hotspots, warnings = _hotspots(found, settings, places, adds)
    counts = Counts(
        mitotic_figures=len(found.centres),
        tissue_area_mm2=area,
        per_mm2=round(len(found.centres) / area, 4) if area > 0 else None,
        interval=_interval(detected, tissue, area),
        expected=expected,
        distribution=_distribution(found, settings),
        component=_component(hotspots, settings),
    )
    return counts, hotspots, warnings


def figures_by_tile(centres: NDArray[np.floating], cells: Sequence[Cell], pitch: float) -> list[int]:
    """Figures of each tile: those centred in it, and those that it saw across a seam in a tile that is not scored.

    centres : float, shape (N, 2), level-0 px. pitch : level-0 px of a tile's side
    """
    counts = [0] * len(cells)
    corners = np.asarray(cells, np.float64).reshape(-1, 2) * pitch
    for centre in centres:
        # A tile is half-open: its last point is just before the next one's first.
        outside = np.maximum(corners - centre, centre - np.nextafter(corners + pitch, 0)).clip(0).max(1)
        counts[int(np.argmin(outside))] += 1
    return counts


def find_cells(tiles: Sequence[TileResult], pitch: float) -> list[Cell]:
    """(column, row) of tiles in the grid."""
    return [(round(tile.x / pitch), round(tile.y / pitch)) for tile in tiles]


def _profile(options: CountingOptions) -> Profile | None:
    return None if options.profile == NO_PROFILE else load_profile(options.profile)


def _estimate_count(
    found: CountingInput, tissue: NDArray[np.float64], area: float
) -> tuple[ExpectedCount, NDArray[np.float64], NDArray[np.float64]]:
    """The expected count, and the places (x, y), level-0 px, shape (N, 2), that add to it with what each adds, shape (N,)."""
    if found.candidates is not None:
        return _estimate_from_candidates(found.candidates, area)
    adds, owners = _estimate_from_scores(found)
    by_tile = np.bincount(owners.ravel(), adds.ravel(), minlength=len(found.tiles) + 1)[1:].astype(np.float64)
    count = ExpectedCount(
        mitotic_figures=round(float(adds.sum()), 3),
        per_mm2=round(float(adds.sum()) / area, 4) if area > 0 else None,
        interval=_interval(by_tile, tissue, area),
        calibration=found.calibration,
        note=UNCALIBRATED if found.calibration is None else CALIBRATED,
    )
    return count, _middles(found.lattice), adds.ravel()


def _estimate_from_candidates(
    candidates: CountedCandidates, area: float
) -> tuple[ExpectedCount, NDArray[np.float64], NDArray[np.float64]]:
    rule = candidates.rule
    mean, low, high = count_figures(candidates.probabilities, rule.factor, rule.spread)
    interval = None
    if area > 0:
        interval = Interval(
            low=round(low, 2), high=round(high, 2), per_mm2_low=round(low / area, 4), per_mm2_high=round(high / area, 4)
        )
    count = ExpectedCount(
        mitotic_figures=round(mean, 3),
        per_mm2=round(mean / area, 4) if area > 0 else None,
        interval=interval,
        calibration=None,
        note=OF_PROBABILITIES,
        source="calibrated probabilities",
        figure_count=rule,
        below_threshold=candidates.below,
    )
    return count, candidates.centres, rule.factor * candidates.probabilities


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


def _hotspots(
    found: CountingInput, settings: Counting, adding: NDArray[np.float64], adds: NDArray[np.float64]
) -> tuple[list[Hotspot], list[str]]:
    """Hotspots and warnings. adding, adds : places, shape (N, 2), and what each adds to the expected count, shape (N,)."""
    within, mpp = found.within, found.lattice.mpp
    origin = np.asarray([within.x, within.y], np.float64)
    window = make_window(settings.hotspot_shape, settings.hotspot_area_mm2, mpp, within)
    points = found.centres - origin

    def tissue(place: NDArray[np.float64]) -> float:
        return _tissue(found.area, window, place + origin)

    places = find_hotspots(
        points,
        window=window,
        size=(within.width, within.height),
        number=settings.hotspots,
        allowed=lambda place: tissue(place) >= settings.hotspot_min_tissue - 1e-9,
    )
    held = window.holds(places, points).sum(1)
    expected = window.holds(places, adding - origin) @ adds if len(places) else np.empty(0)
    area = window.area * (mpp / 1000) ** 2
    shown = [
        Hotspot(
            x=round(float(place[0] + within.x), 2),
            y=round(float(place[1] + within.y), 2),
            width=round(window.width, 2),
            height=round(window.height, 2),
            area_mm2=round(area, 4),
            mitotic_figures=int(held[i]),
            per_mm2=round(int(held[i]) / area, 4),
            shape=settings.hotspot_shape,
            tissue_fraction=round(tissue(place), 4),
            expected_figures=round(float(expected[i]), 3),
        )
        for i, place in enumerate(places)
    ]
    warnings = []
    if len(points) and settings.hotspots and not shown:
        warnings.append(
            f"no window of {area:.2f} mm2 with figures holds {settings.hotspot_min_tissue:.0%} tissue; "
            "lower hotspot_min_tissue or the area for a hotspot"
        )
    return shown, warnings


def _tissue(area: Area, window: CountingWindow, corner: NDArray[np.float64]) -> float:
    """Share of analysed tissue in a window."""
    x, y = float(corner[0]), float(corner[1])
    if isinstance(window, Disc):
        return min(area.disc(x, y, window.radius) / window.area, 1.0)
    return area.rectangle(x, y, window.width, window.height) / window.area


def _middles(lattice: MitosisMap) -> NDArray[np.float64]:
    """Centres of all sub-tiles, shape (R * C, 2)."""
    rows, columns = lattice.scores.shape
    x = lattice.x + lattice.step * np.arange(columns) + lattice.window / 2
    y = lattice.y + lattice.step * np.arange(rows) + lattice.window / 2
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _distribution(found: CountingInput, settings: Counting) -> Distribution | None:
    """Counts in side-by-side 4:3 windows; a disc's are rectangles of its area."""
    within, mpp = found.within, found.lattice.mpp
    width, height = rectangle_sides(settings.hotspot_area_mm2 * (1000 / mpp) ** 2)
    columns, rows = int(within.width // width), int(within.height // height)
    if not columns or not rows:
        return None
    x = within.x + width * np.arange(columns + 1, dtype=np.float64)
    y = within.y + height * np.arange(rows + 1, dtype=np.float64)
    held, _, _ = np.histogram2d(found.centres[:, 1], found.centres[:, 0], bins=(y, x))
    valid = held[found.area.shares(x, y) >= settings.hotspot_min_tissue]
    if not len(valid):
        return None
    return Distribution(
        windows=len(valid),
        mean=round(float(valid.mean()), 4),
        quantiles=[float(v) for v in np.quantile(valid, (0, 0.25, 0.5, 0.75, 1))],
    )


def _component(hotspots: list[Hotspot], settings: Counting) -> CountComponent | None:
    if settings.profile is None or not hotspots:
        return None
    return load_profile(settings.profile).component(hotspots[0].mitotic_figures, hotspots[0].area_mm2)
