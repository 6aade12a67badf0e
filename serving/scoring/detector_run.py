"""One detector over one slide: its plan, its patches and models, and what it takes for candidates, placed on the slide."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.options import ScoringOptions
from serving.quality.focus import Structure, is_measurable, measure_structure
from serving.scoring.analysis import MitosisMap
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.cascade import CascadeRunner, OnPart, check_resumed_tiles
from serving.scoring.detector import (
    AnyDetector,
    Detector,
    OneStageDetector,
    SingleDetector,
    boxes_card,
    check_triage,
    counting_threshold,
    find_triage_card,
    list_cards,
    list_released_cards,
)
from serving.scoring.mapping import map_probabilities, map_scores
from serving.scoring.merging import EDGE_MARGIN_UM, SubTileBoxes, merge
from serving.scoring.order import order_hot_first
from serving.scoring.plan import SlidePlan, make_plan
from serving.scoring.reading import ReadClock, read_ahead
from serving.scoring.second_look import SecondLook
from serving.scoring.tile_findings import FindingsCache, TileFindings, make_empty_structure
from serving.scoring.tiling import Tiling
from serving.scoring.verification import calibrate, verify_candidates
from serving.slides.slide import Slide

MIN_INSIDE = 0.25


class DetectorRun:
    """A detector on its way over a slide.

    Parameters
    ----------
    detector
        A cascade or a one-stage detector.
    slide, plan, options
        The plan is that of the detector's first model.
    finished
        Whole chunks, in order, that an earlier run handed out.
    seen
        What need not be computed again.
    measures_focus
        Whether it measures how sharp each patch is, as quality control asks of one detector.
    """

    def __init__(
        self,
        detector: SingleDetector,
        slide: Slide,
        plan: SlidePlan,
        options: ScoringOptions,
        *,
        finished: Sequence[TileFindings] = (),
        seen: FindingsCache | None = None,
        measures_focus: bool = True,
    ) -> None:
        self.plan, self.seconds = plan, 0.0
        self._detector, self._slide, self._options = detector, slide, options
        self._turns = order_hot_first(plan.tiles, plan.tissue)
        check_resumed_tiles(finished, self._turns)
        self._done = len(finished)
        self.clock = ReadClock()
        self.verify_s: float | None = None
        mpp = list_cards(detector)[0].input.mpp
        self.cascade = CascadeRunner(
            detector,
            screening_threshold(detector, options),
            lambda origins: _shows_slide(origins, slide, plan),
            partial(_structure, tiling=plan.tiling, mpp=mpp) if measures_focus else (lambda _: make_empty_structure()),
            triage_threshold(detector, options) if find_triage_card(detector) is not None else None,
            list(finished),
            seen or FindingsCache(),
        )

    @property
    def tiles(self) -> list[TileFindings]:
        """What is known of the tiles that are done."""
        return self.cascade.tiles

    def run(
        self,
        on_tile: Callable[[], None],
        on_finished: Callable[[Sequence[TileFindings]], None],
        *,
        on_part: OnPart | None = None,
    ) -> SubTileBoxes:
        """Read and score what is left; gives all boxes, work px, cut at the slide's border. As `CascadeRunner.run`."""
        started = time.perf_counter()
        pace = choose_batch_sizes(self._detector.provider)
        with read_ahead(
            self._slide,
            self.plan.frame,
            self._turns[self._done :],
            self.clock,
            readers=pace.readers,
            ahead=pace.ahead,
            instead=self.cascade.find_settled,
        ) as patches:
            raw = self.cascade.run(patches, on_tile, on_finished, on_part)
        self.seconds += time.perf_counter() - started
        return self._cut_at_border(raw)

    def find_candidates(self, raw: SubTileBoxes) -> Detections:
        """Figures and what is less likely one, level-0 px, each once, with the probabilities that the last card calibrates."""
        started = time.perf_counter()
        found, last = self._merge(raw), list_cards(self._detector)[-1]
        if not isinstance(self._detector, OneStageDetector) and self._detector.verification_card is not None:
            fast = self._options.cascade == "fast"
            found = verify_candidates(
                found,
                self._slide,
                self.plan.frame,
                self._detector,
                self._detector.verification_card,
                fast=fast,
                look_again=self._make_second_look(raw, self._detector).look if fast else None,
            )
            self.verify_s = time.perf_counter() - started
        found = self._place_on_slide(calibrate(found, last))
        self.seconds += time.perf_counter() - started
        return found

    def _make_second_look(self, raw: SubTileBoxes, detector: Detector) -> SecondLook:
        return SecondLook(
            self._slide,
            self.plan.frame,
            detector,
            detector.screening_card.input,
            self.cascade.threshold,
            raw,
            lambda joined: self._merge(self._cut_at_border(joined)),
            self._radius,
            self.cascade.in_slide,
        )

    def find_preliminary(self, raw: SubTileBoxes, threshold: float | None) -> NDArray[np.float64]:
        """Centres, (N, 2), (x, y), level-0 px, of what the model that places boxes alone takes for figures.

        threshold : of what counts in the end, in place of that of its card; not of a model before the last
        """
        card = boxes_card(self._detector)
        found, least = self._merge(self._cut_at_border(raw)), counting_threshold([card])
        if card is list_cards(self._detector)[-1]:
            found = calibrate(found, card)
            least = least if threshold is None else threshold
        placed = self._place_on_slide(found[found.probabilities >= least])
        return placed[lies_in_roi(self._options, placed)].centres.astype(np.float64)

    def draw_map(self, raw: SubTileBoxes) -> MitosisMap:
        """Scores of Reg-NS, or the highest probabilities of a one-stage detector."""
        if isinstance(self._detector, OneStageDetector):
            return map_probabilities(self.plan, self._slide, raw.detections)
        return map_scores(self.plan, self.tiles)

    def looked_at(self, centres: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which places lie in tiles that it looked at, shape (N,).

        centres : float32, shape (N, 2), (x, y), level-0 px
        """
        side = self.plan.tiling.tile_px * self.plan.frame.scale
        grid = np.zeros((max(self.plan.grid.rows, 1), max(self.plan.grid.columns, 1)), np.bool_)
        for tile in self.plan.tiles:
            column, row = tile.cell
            grid[row, column] = True
        columns, rows = np.floor(centres / side).astype(np.int64).T
        return np.asarray(grid[rows.clip(0, grid.shape[0] - 1), columns.clip(0, grid.shape[1] - 1)])

    @property
    def _radius(self) -> float:
        """Within which boxes are one figure, work px."""
        return (boxes_card(self._detector).merge_radius_um or 0.0) / self.plan.frame.work_mpp

    def _merge(self, raw: SubTileBoxes) -> Detections:
        """Candidates of the model that places boxes, work px."""
        model = list_cards(self._detector)[0].input
        return merge(raw, radius=self._radius, window=model.window_px, margin=EDGE_MARGIN_UM / model.mpp)

    def _cut_at_border(self, raw: SubTileBoxes) -> SubTileBoxes:
        """Boxes cut at the slide's border, without those of mirrored pixels, before they merge with what they mirror.

        A figure at the border and its mirror picture may share one box: that of which a quarter is inside stays.
        """
        slide = self._slide
        boxes, size = (
            raw.detections.boxes,
            np.asarray((slide.width, slide.height), np.float32) / self.plan.frame.scale,
        )
        cut = boxes.clip(0, np.tile(size, 2)).astype(np.float32)
        area, inside = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, cut))
        kept = inside >= MIN_INSIDE * area
        detections = Detections(cut, raw.detections.probabilities, raw.detections.scores)
        return replace(raw, detections=detections[kept], sub_tile=raw.sub_tile[kept])

    def _place_on_slide(self, found: Detections) -> Detections:
        """Candidates with boxes in level-0 px, of those of which any is on the slide."""
        boxes = self.plan.frame.boxes_to_level0(found.boxes)
        boxes[:, 0::2] = boxes[:, 0::2].clip(0, self._slide.width)
        boxes[:, 1::2] = boxes[:, 1::2].clip(0, self._slide.height)
        return replace(found, boxes=boxes)[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]


def plan_members(members: Mapping[str, SingleDetector], slide: Slide, options: ScoringOptions) -> dict[str, SlidePlan]:
    """A plan for each detector, at its own resolution and in its own windows, of one tissue mask."""
    plans: dict[str, SlidePlan] = {}
    for name, member in members.items():
        tissue = next((plan.tissue for plan in plans.values()), None)
        plans[name] = make_plan(slide, options, list_cards(member)[0].input, tissue)
    if len(plans) > 1:
        # The report has the warnings of all in the plan of the first.
        name, plan = next(iter(plans.items()))
        warnings = [warning for own in plans.values() for warning in own.warnings]
        plans[name] = replace(plan, warnings=list(dict.fromkeys(warnings)))
    return plans


def lies_in_roi(options: ScoringOptions, found: Detections) -> NDArray[np.bool_]:
    """Which detections, level-0 px, are centred where the analysis was asked to look."""
    if options.roi is None:
        return np.ones(len(found), np.bool_)
    return options.roi.contains(found.centres.astype(np.float64))


def screening_threshold(detector: SingleDetector, options: ScoringOptions) -> float:
    """The screening score from which Det looks at a sub-tile; -inf for all of them, and where nothing is screened."""
    chosen = list_cards(detector)[0].screening_threshold
    return chosen.score if options.cascade != "off" and chosen is not None else -np.inf


def triage_threshold(detector: AnyDetector, options: ScoringOptions) -> float | None:
    """The light net's probability from which Reg-NS looks at a sub-tile; None where it looks at all.

    Raises
    ------
    RequestError
        If the options ask for a fast analysis and there is no light net.
    """
    if options.cascade != "fast":
        return None
    return check_triage(list_released_cards(detector)).probability


def split_finished(finished: Sequence[TileFindings], counts: Sequence[int]) -> list[Sequence[TileFindings]]:
    """Finished tiles of detectors that see a slide one after the other, by detector. counts : planned tiles of each.

    Raises
    ------
    ValueError
        If there are more than planned.
    """
    parts: list[Sequence[TileFindings]] = []
    for count in counts:
        parts.append(finished[:count])
        finished = finished[count:]
    if finished:
        raise ValueError(
            f"the finished tiles are not the first ones of this slide with these options: there are {len(finished)} too many"
        )
    return parts


def _structure(pixels: NDArray[np.uint8], *, tiling: Tiling, mpp: float) -> Structure:
    """How sharp a patch is, by blocks of the map; empty where the models' pixels are not those that focus is judged in."""
    if not is_measurable(mpp):
        return make_empty_structure()
    margin = tiling.margin_px
    inside = pixels if margin is None else pixels[margin : margin + tiling.tile_px, margin : margin + tiling.tile_px]
    return measure_structure(inside, tiling.block_px)


def _shows_slide(origins: NDArray[np.float32], slide: Slide, plan: SlidePlan) -> NDArray[np.bool_]:
    """Which windows, of a one-stage detector without their margins, overlap the slide. origins : float32, shape (N, 2), work px."""
    tiling, scale = plan.tiling, plan.frame.scale
    margin, side = (0, tiling.window_px) if tiling.margin_px is None else (tiling.margin_px, tiling.stride_px)
    low, high = (origins + margin) * scale, (origins + margin + side) * scale
    return np.asarray((high > 0).all(1) & (low[:, 0] < slide.width) & (low[:, 1] < slide.height))
