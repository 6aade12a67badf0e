"""From figures, scores and tissue to counts and hotspots. No model is needed, so a stored result can be counted again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import Counting, Counts, Distribution, ExpectedCount, Hotspot, ReviewedCounts
from serving.core.words import state_time
from serving.scoring.atypia import Marks, count_atypical
from serving.scoring.counting_input import CountingInput, figures_by_tile, find_cells
from serving.scoring.expected import Estimate
from serving.scoring.expected_counts import AFTER_REVIEW, estimate_count, find_interval, state_estimate, state_interval
from serving.scoring.reviewed import ReviewedFigures
from serving.scoring.window_counts import WindowCounts
from serving.scoring.windows import rectangle_sides

_NO_WINDOW, _NO_TISSUE = "no window of", "the regions leave no tissue to count in"


@dataclass(frozen=True, slots=True)
class CountingResult:
    """What `count` gives; as in the report."""

    counts: Counts
    hotspots: list[Hotspot]
    fields: list[Hotspot]
    review: ReviewedCounts | None
    warnings: list[str]
    readings: list[ReviewedCounts]


def count(found: CountingInput, settings: Counting, fields: Sequence[tuple[float, float]] = ()) -> CountingResult:
    """Everything that is counted, of the model's figures and of those after review, by the same rules.

    fields : middles (x, y), level-0 px, of windows that are counted where they are
    """
    estimate, by_tile = estimate_count(found)
    windows = _make_windows(found, settings, estimate, found.review, readers=found.readers)
    hotspots = windows.search(found.centres, "model")
    detected = np.asarray([tile.mitotic_count for tile in found.tiles], np.float64)
    counts = _counts(
        found,
        settings,
        found.centres,
        marks=found.marks,
        by_tile=detected,
        first=hotspots[:1],
        expected=None if estimate is None else state_estimate(found, estimate, by_tile),
    )
    warnings = []
    if found.in_regions and not found.area_mm2:
        warnings.append(f"{_NO_TISSUE}: no density can be stated")
    elif len(found.centres) and settings.hotspots and not hotspots:
        warnings.append(
            f"{_NO_WINDOW} {windows.area_mm2:.2f} mm2 with figures holds {settings.hotspot_min_tissue:.0%} tissue; "
            "lower hotspot_min_tissue or the area for a hotspot"
        )
    return CountingResult(
        counts=counts,
        hotspots=hotspots,
        fields=[windows.count_around(*middle) for middle in fields],
        review=None if found.review is None else _count_reviewed(found, found.review, settings, windows),
        warnings=warnings,
        readings=[
            _count_reviewed(found, one, settings, _make_windows(found, settings, estimate, one))
            for one in found.readers
        ],
    )


def _make_windows(
    found: CountingInput,
    settings: Counting,
    estimate: Estimate | None,
    review: ReviewedFigures | None,
    *,
    readers: Sequence[ReviewedFigures] = (),
) -> WindowCounts:
    """What counts in windows for the model and after a review."""
    return WindowCounts(
        within=found.within,
        area=found.area,
        mpp=found.lattice.mpp,
        settings=settings,
        centres=found.centres,
        estimate=estimate,
        review=review,
        marks=found.marks,
        readers=readers,
    )


def drop_warnings(warnings: Sequence[str]) -> list[str]:
    """What a report warns of beside its counts, which are counted again."""
    return [warning for warning in warnings if not warning.startswith((_NO_WINDOW, _NO_TISSUE))]


def _count_reviewed(
    found: CountingInput, review: ReviewedFigures, settings: Counting, windows: WindowCounts
) -> ReviewedCounts:
    area = found.area_mm2
    pitch = found.lattice.step * found.tile_blocks
    by_tile = figures_by_tile(review.centres, find_cells(found.tiles, pitch), pitch) if found.tiles else []
    hotspots = windows.search(review.centres, "review")
    expected = None
    if windows.reviewed_estimate is not None and found.candidates is not None:
        mean, interval = windows.reviewed_estimate.total()
        expected = ExpectedCount(
            mitotic_figures=round(mean, 3),
            per_mm2=round(mean / area, 4) if area > 0 else None,
            interval=state_interval(interval, area),
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
        rule=decision.rule,
        last_entry=decision.last_entry,
        last_at=state_time(decision.last_at),
        accepted=review.accepted,
        rejected=review.rejected,
        added=review.added,
        unjudged=review.unjudged,
        counts=_counts(
            found,
            settings,
            review.centres,
            marks=review.marks,
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
    marks: Marks | None,
    by_tile: NDArray[np.float64],
    first: list[Hotspot],
    expected: ExpectedCount | None,
) -> Counts:
    """Counts of the whole analysed area.

    marks : of the figures. by_tile : figures of each tile. first : the first hotspot, with its component
    """
    area = found.area_mm2
    return Counts(
        mitotic_figures=len(centres),
        tissue_area_mm2=area,
        bounded_by=list(found.bounded_by),
        per_mm2=round(len(centres) / area, 4) if area > 0 else None,
        interval=find_interval(found, by_tile),
        expected=expected,
        distribution=_distribution(found, settings, centres),
        component=first[0].component if first else None,
        atypical=count_atypical(marks),
    )


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
