"""A detector over a stream of patches: Reg-NS on sub-tiles and Det on those that it passes, or one model on every window.

Reg-NS looks at every sub-tile, or, where a light net looks first, at those that this chooses.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.modelinput import ModelInput
from serving.quality.focus import Structure
from serving.scoring.batch_sizes import BatchSizes, choose_batch_sizes
from serving.scoring.detector import OneStageDetector, SingleDetector, TriagedDetector, list_cards
from serving.scoring.merging import SubTileBoxes
from serving.scoring.order import CHUNK_TILES
from serving.scoring.plan import PlannedTile
from serving.scoring.tile_chunks import DoneTiles, Fresh, Read, group_by_shape, map_in_turn
from serving.scoring.tile_findings import FindingsCache, TileFindings, find_corners, make_empty_structure
from serving.scoring.tiling import Patch
from serving.scoring.triage import screen_chosen, triage_tiles


def check_resumed_tiles(finished: Sequence[TileFindings], planned: Sequence[PlannedTile]) -> None:
    """Make sure that finished tiles are whole chunks from the start of what is planned, in the order in which tiles are taken.

    Raises
    ------
    ValueError
        If they belong to another plan, or end inside a chunk.
    """
    done = len(finished)
    if [tile.patch for tile in finished] != [tile.patch for tile in planned[:done]]:
        raise ValueError("the finished tiles are not the first ones of this slide with these options")
    if done % CHUNK_TILES and done != len(planned):
        raise ValueError(f"{done} finished tiles are no whole chunks of {CHUNK_TILES}")


@dataclass(frozen=True, slots=True)
class Look:
    """What the first models say of a tile; see `TileFindings`."""

    scores: NDArray[np.float32]
    triage: NDArray[np.float32] | None = None


@dataclass(slots=True)
class StageSeconds:
    """What the models and the measurement of focus took, summed over threads."""

    screen: float = 0.0
    detect: float = 0.0
    quality: float = 0.0
    triage: float = 0.0

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return StageSeconds(
            self.screen + other.screen,
            self.detect + other.detect,
            self.quality + other.quality,
            self.triage + other.triage,
        )


ComputedTile = tuple[TileFindings, list[Detections], StageSeconds]
"""A tile without what was found in its windows, that, and what both took."""
Chunk = tuple[list[TileFindings], StageSeconds]
OnPart = Callable[[int, Callable[[], list[TileFindings]]], None]
"""Told how many tiles are done, and given what gathers what was found in them."""


@dataclass(slots=True)
class CascadeRunner:
    """Feeds patches to a detector and gathers what it says.

    threshold : screening score from which Det looks at a sub-tile; -inf for all of them
    triage_threshold : probability of the light net from which Reg-NS looks at a sub-tile; None where it is not asked
    in_slide : whether a window, given its (x, y) corners in work px, float (N, 2), shows any of what is analysed
    structure_of : gives a patch's structure
    tiles : finished tiles; those that an earlier run finished may be given
    seen : what need not be computed again
    """

    detector: SingleDetector
    threshold: float
    in_slide: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
    structure_of: Callable[[NDArray[np.uint8]], Structure] = lambda _: make_empty_structure()
    triage_threshold: float | None = None
    tiles: list[TileFindings] = field(default_factory=list)
    seen: FindingsCache = field(default_factory=FindingsCache)
    seconds: StageSeconds = field(default_factory=StageSeconds)

    @property
    def _model(self) -> ModelInput:
        """What the first model is fed."""
        return list_cards(self.detector)[0].input

    def find_settled(self, tile: PlannedTile) -> TileFindings | None:
        """What is known of a tile without its pixels; None where a model has to look at them."""
        known = self.seen.found.get(tile.patch)
        if known is not None:
            return known
        known = self.seen.screened.get(tile.patch)
        if known is None or (known.scores >= self.threshold).any():
            return None
        return replace(known, looked=np.empty(0, np.int64), found=())

    def run(
        self,
        patches: Iterator[Read],
        on_tile: Callable[[], None],
        on_finished: Callable[[Sequence[TileFindings]], None] | None = None,
        on_part: OnPart | None = None,
    ) -> SubTileBoxes:
        """Score all patches; `on_tile` is called after each, `on_finished` with the tiles of each chunk, in order.

        on_part : where tiles are computed one by one, called after each that does not end its chunk
        """
        pace = choose_batch_sizes(self.detector.provider)
        chunks = self._one_by_one(patches, on_tile, on_part, pace) if pace.chunks == 1 else self._at_once(patches, pace)
        with closing(chunks):  # whatever ends this run ends its threads
            for chunk, seconds in chunks:
                self.seconds += seconds
                self.tiles.extend(chunk)
                if on_finished is not None:
                    on_finished(chunk)
                # One by one, a chunk's tiles are counted in passing, but for the last.
                for _ in chunk if pace.chunks > 1 else chunk[CHUNK_TILES - 1 :]:
                    on_tile()
        # The order in which tiles were taken shows in nothing that follows.
        self.tiles.sort(key=lambda tile: (tile.patch.cell[1], tile.patch.cell[0]))
        return self.gather(self.tiles)

    def _one_by_one(
        self, patches: Iterator[Read], on_tile: Callable[[], None], on_part: OnPart | None, pace: BatchSizes
    ) -> Generator[Chunk]:
        """Chunks computed as their patches come, of which no more than one is held at a time."""

        def tell(done: int, settle: Callable[[], list[TileFindings]]) -> None:
            if on_part is not None and done < CHUNK_TILES:
                on_part(len(self.tiles) + done, lambda: [*self.tiles, *settle()])

        at_once = 1 if self.triage_threshold is None else pace.light_tiles
        with ThreadPoolExecutor(at_once, thread_name_prefix="tile") as pool:

            def compute(fresh: Iterable[Fresh]) -> Iterator[ComputedTile]:
                return map_in_turn(pool, partial(self._tile, most=self._model.batch or pace.windows), fresh, at_once)

            while (chunk := self._chunk_by_tiles(itertools.islice(patches, CHUNK_TILES), compute, on_tile, tell))[0]:
                yield chunk

    def _at_once(self, patches: Iterator[Read], pace: BatchSizes) -> Generator[Chunk]:
        """Chunks computed by several threads, in order; one more is read meanwhile."""
        computing: deque[Future[Chunk]] = deque()
        pool = ThreadPoolExecutor(pace.chunks, thread_name_prefix="cascade")
        try:
            while chunk := list(itertools.islice(patches, CHUNK_TILES)):
                computing.append(pool.submit(self._chunk, chunk, pace))
                while len(computing) > pace.chunks or (computing and computing[0].done()):
                    yield computing.popleft().result()
            while computing:
                yield computing.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _chunk_by_tiles(
        self,
        patches: Iterable[Read],
        compute: Callable[[Iterable[Fresh]], Iterator[ComputedTile]],
        on_tile: Callable[[], None],
        on_part: OnPart,
    ) -> Chunk:
        """The models on the tiles of one chunk, but for those that are settled, each tile by itself.

        No batch reaches across tiles: what Det says of one does not depend on which others are scored.

        compute : `_tile` of each, in order. on_tile : called after each tile, but for the last of a whole chunk, which counts when the
        chunk is finished. on_part : told of its own tiles
        """
        done, seconds = DoneTiles(), StageSeconds()
        counted = 0

        def count() -> None:
            nonlocal counted
            while counted < min(len(done), CHUNK_TILES - 1):
                counted += 1
                on_tile()

        for screened, found, spent in compute(self._skip_settled(patches, done)):
            done.screened.append(screened)
            done.found += found
            seconds += spent
            on_part(len(done), lambda: done.gather(self._findings))
            count()
        count()
        return done.gather(self._findings), seconds

    def _tile(self, fresh: Fresh, *, most: int) -> ComputedTile:
        """All models on one tile. most : windows that one call of Det sees."""
        seconds = StageSeconds()
        (look,) = self._look([fresh], seconds)
        screened = self._screen(fresh[0].patch, fresh[1], look, seconds)
        windows, found = self._cut(fresh[1], screened), list[Detections]()
        for start in range(0, len(windows), most):
            found += self._detect(windows[start : start + most], seconds)
        return screened, found, seconds

    def _chunk(self, patches: Iterable[Read], pace: BatchSizes) -> Chunk:
        """The models on the tiles of one chunk, but for those that are settled, in batches of several tiles."""
        seconds, most = StageSeconds(), self._model.batch or pace.windows
        done, windows = DoneTiles(), list[NDArray[np.uint8]]()
        for group in group_by_shape(self._skip_settled(patches, done), pace.tiles):
            for (tile, pixels), look in zip(group, self._look(group, seconds), strict=True):
                done.screened.append(self._screen(tile.patch, pixels, look, seconds))
                windows += self._cut(pixels, done.screened[-1])
            del group, tile, pixels
            while len(windows) >= most:
                batch, windows = windows[:most], windows[most:]
                done.found += self._detect(batch, seconds)
        if windows:
            done.found += self._detect(windows, seconds)
        return done.gather(self._findings), seconds

    def _skip_settled(self, patches: Iterable[Read], done: DoneTiles) -> Iterator[Fresh]:
        """The tiles that models have to look at; what is known of the others goes to `done`, and whose turn it was."""
        for tile, given in patches:
            done.turns[tile.patch] = len(done.turns)
            if isinstance(given, TileFindings):
                done.settled.append(given)
            else:
                yield tile, given
            del given

    def _look(self, group: Sequence[Fresh], seconds: StageSeconds) -> list[Look]:
        """What the first models say of each tile; of a group of which not all is known they look at all."""
        known = [self.seen.screened[tile.patch] for tile, _ in group if tile.patch in self.seen.screened]
        if len(known) == len(group):
            return [Look(found.scores, found.triage) for found in known]
        model = self._model
        if isinstance(self.detector, OneStageDetector):
            window, stride = model.window_px, model.stride_px
            shapes = [((p.shape[0] - window) // stride + 1, (p.shape[1] - window) // stride + 1) for _, p in group]
            return [Look(np.zeros(shape, np.float32)) for shape in shapes]
        tiles = np.stack([pixels for _, pixels in group]) if group[1:] else group[0][1][None]
        started = time.perf_counter()
        if self.triage_threshold is None or not isinstance(self.detector, TriagedDetector):
            scores = self.detector.screen(tiles)
            seconds.screen += time.perf_counter() - started
            return [Look(of_tile) for of_tile in scores]
        lattice = tuple(length // model.stride_px - 1 for length in tiles.shape[1:3])
        shown = np.stack([self._find_shown(tile.patch, lattice) for tile, _ in group])
        light, chosen = triage_tiles(self.detector, tiles, shown, self.triage_threshold, model)
        seconds.triage += time.perf_counter() - started
        started = time.perf_counter()
        scores = screen_chosen(self.detector, tiles, chosen, shown, model)
        seconds.screen += time.perf_counter() - started
        return [Look(of_tile, probabilities) for of_tile, probabilities in zip(scores, light, strict=True)]

    def _find_shown(self, patch: Patch, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which windows of a patch show any of what is analysed, bool, of `shape`, (rows, columns)."""
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        return self.in_slide(find_corners(patch, rows.ravel(), columns.ravel(), self._model.stride_px)).reshape(shape)

    def _screen(self, patch: Patch, pixels: NDArray[np.uint8], look: Look, seconds: StageSeconds) -> TileFindings:
        """What is known of the patch before boxes are looked for, and how sharp it is."""
        shown, nowhere = self._find_shown(patch, look.scores.shape), np.float32(np.nan)
        looked = np.flatnonzero(shown & (look.scores >= self.threshold)).astype(np.int64)
        started = time.perf_counter()
        structure = self.structure_of(pixels)
        seconds.quality += time.perf_counter() - started
        light = None if look.triage is None else np.where(shown, look.triage, nowhere)
        return TileFindings(patch, np.where(shown, look.scores, nowhere), looked, (), structure, light)

    def _cut(self, pixels: NDArray[np.uint8], screened: TileFindings) -> list[NDArray[np.uint8]]:
        """Copies of the windows in which boxes shall be looked for: the patch need not outlive its screening."""
        model = self._model
        corners = np.stack(np.divmod(screened.looked, screened.scores.shape[1]), 1) * model.stride_px
        return [pixels[y : y + model.window_px, x : x + model.window_px].copy() for y, x in corners]

    def _detect(self, windows: list[NDArray[np.uint8]], seconds: StageSeconds) -> list[Detections]:
        batch = np.stack(windows)
        started = time.perf_counter()
        found = (
            self.detector.find(batch) if isinstance(self.detector, OneStageDetector) else self.detector.detect(batch)
        )
        seconds.detect += time.perf_counter() - started
        return found

    def _findings(self, screened: TileFindings, found: tuple[Detections, ...]) -> TileFindings:
        """What is known of a patch at the end."""
        if isinstance(self.detector, OneStageDetector):
            screened.scores.flat[screened.looked] = [one.probabilities.max(initial=0) for one in found]
        return replace(screened, found=found)

    def gather(self, tiles: Sequence[TileFindings]) -> SubTileBoxes:
        """All boxes in tiles, in work px of the slide; a sub-tile that two patches share counts once."""
        stride = self._model.stride_px
        origins = np.concatenate([np.empty((0, 2), np.float32), *(tile.origins(stride) for tile in tiles)])
        scores = np.concatenate([np.empty(0, np.float32), *(tile.scores.flat[tile.looked] for tile in tiles)])
        found = [detections for tile in tiles for detections in tile.found]
        _, kept = np.unique(origins, axis=0, return_index=True)
        local = Detections.concatenate(found[old] for old in kept)
        sub_tile = np.repeat(np.arange(len(kept)), [len(found[old]) for old in kept])
        boxes = local.boxes + np.tile(origins[kept], 2)[sub_tile]
        placed = Detections(boxes, local.probabilities, scores[kept][sub_tile])
        return SubTileBoxes(placed, sub_tile, origins[kept], scores[kept])
