"""A detector over a stream of patches: Reg-NS on every sub-tile and Det on those that it passes, or one model on every window."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.modelcard import ModelInput
from serving.quality.focus import Structure
from serving.scoring.batch_sizes import BatchSizes, choose_batch_sizes
from serving.scoring.detector import AnyDetector, OneStageDetector, list_cards
from serving.scoring.merging import SubTileBoxes
from serving.scoring.plan import PlannedTile
from serving.scoring.tiling import Patch

CHUNK_TILES = 32
"""Tiles that are finished together. No batch of Det reaches across chunks, so an analysis that goes on after any whole
chunk shows Det the same batches as one that was never interrupted, and gives the same numbers to the last bit."""


def make_empty_structure() -> Structure:
    """The structure of a patch at which nobody looked."""
    return np.empty((0, 0, 2), np.float32)


@dataclass(frozen=True, slots=True)
class TileFindings:
    """What the models say of one patch, and how sharp it is.

    scores : float32, shape (rows, columns), of the patch's windows: of a cascade Reg-NS's, of the lattice from (first_row,
        first_column) of `patch` on; of a one-stage detector the highest probability in each
    looked : int64, shape (N,), windows in which boxes were looked for, as indices into the flat scores
    found : what Det found in each of them, sub-tile px
    structure : of the patch's blocks of a stride, see `quality.focus`
    """

    patch: Patch
    scores: NDArray[np.float32]
    looked: NDArray[np.int64]
    found: tuple[Detections, ...]
    structure: Structure = field(default_factory=make_empty_structure)

    def origins(self, stride: int) -> NDArray[np.float32]:
        """Corners of the windows in which boxes were looked for, float32, shape (N, 2), work px."""
        rows, columns = np.divmod(self.looked, self.scores.shape[1])
        return _corners(self.patch, rows, columns, stride)


@dataclass(frozen=True, slots=True)
class FindingsCache:
    """What earlier analyses of the slide found in patches, by the same first model.

    found : what both models say, of the same Det behind the same screening threshold
    screened : what Reg-NS says, and how sharp the patch is; what Det found in it is not used
    """

    found: Mapping[Patch, TileFindings] = field(default_factory=dict)
    screened: Mapping[Patch, TileFindings] = field(default_factory=dict)


Read = tuple[PlannedTile, NDArray[np.uint8] | TileFindings]
"""A tile and the pixels of its patch, or what is known of it without them."""
Fresh = tuple[PlannedTile, NDArray[np.uint8]]
"""A tile that models have to look at."""


def check_resumed_tiles(finished: Sequence[TileFindings], planned: Sequence[PlannedTile]) -> None:
    """Make sure that finished tiles are whole chunks from the start of what is planned.

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


Screened = tuple[Patch, NDArray[np.float32], NDArray[np.int64], Structure]


@dataclass(slots=True)
class StageSeconds:
    """What the models and the measurement of focus took, summed over threads."""

    screen: float = 0.0
    detect: float = 0.0
    quality: float = 0.0

    def __add__(self, other: "StageSeconds") -> "StageSeconds":
        return StageSeconds(self.screen + other.screen, self.detect + other.detect, self.quality + other.quality)


Chunk = tuple[list[TileFindings], StageSeconds]


@dataclass(slots=True)
class CascadeRunner:
    """Feeds patches to a detector and gathers what it says.

    threshold : screening score from which Det looks at a sub-tile; -inf for all of them
    in_slide : whether a window, given its (x, y) corners in work px, float (N, 2), shows any of what is analysed
    structure_of : gives a patch's structure
    tiles : finished tiles; those that an earlier run finished may be given
    seen : what need not be computed again
    """

    detector: AnyDetector
    threshold: float
    in_slide: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
    structure_of: Callable[[NDArray[np.uint8]], Structure] = lambda _: make_empty_structure()
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
    ) -> SubTileBoxes:
        """Score all patches; `on_tile` is called after each, `on_finished` with the tiles of each chunk, in order."""
        pace = choose_batch_sizes(self.detector.provider)
        chunks = self._one_by_one(patches, on_tile, pace) if pace.chunks == 1 else self._at_once(patches, pace)
        for chunk, seconds in chunks:
            self.seconds += seconds
            self.tiles.extend(chunk)
            if on_finished is not None:
                on_finished(chunk)
            # One by one, a chunk's tiles are counted in passing, but for the last.
            for _ in chunk if pace.chunks > 1 else chunk[CHUNK_TILES - 1 :]:
                on_tile()
        return self._raw()

    def _one_by_one(self, patches: Iterator[Read], on_tile: Callable[[], None], pace: BatchSizes) -> Iterator[Chunk]:
        """Chunks computed as their patches come, of which no more than one is held at a time."""
        while True:
            chunk = self._chunk(_counting(itertools.islice(patches, CHUNK_TILES), on_tile), pace)
            if not chunk[0]:
                return
            yield chunk

    def _at_once(self, patches: Iterator[Read], pace: BatchSizes) -> Iterator[Chunk]:
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

    def _chunk(self, patches: Iterable[Read], pace: BatchSizes) -> Chunk:
        """The models on the tiles of one chunk, but for those that are settled."""
        seconds, most = StageSeconds(), self._model.batch or pace.windows
        chunk: list[TileFindings] = []
        screened: list[Screened] = []
        windows: list[NDArray[np.uint8]] = []
        found: list[Detections] = []
        for group in group_by_shape(self._skip_settled(patches, chunk), pace.tiles):
            for (tile, pixels), given in zip(group, self._scores(group, seconds), strict=True):
                screened.append(self._screen(tile.patch, pixels, given, seconds))
                windows += self._cut(pixels, screened[-1])
            del group, tile, pixels
            # Tile by tile, no batch reaches across tiles: what Det says of one does not depend on which others are scored.
            while len(windows) >= most or (windows and pace.tiles == 1):
                batch, windows = windows[:most], windows[most:]
                found += self._detect(batch, seconds)
        if windows:
            found += self._detect(windows, seconds)
        given_to = iter(found)
        chunk += [self._findings(one, tuple(itertools.islice(given_to, len(one[2])))) for one in screened]
        return sorted(chunk, key=lambda tile: (tile.patch.cell[1], tile.patch.cell[0])), seconds

    def _skip_settled(self, patches: Iterable[Read], settled: list[TileFindings]) -> Iterator[Fresh]:
        """The tiles that models have to look at; what is known of the others goes to `settled`."""
        for tile, given in patches:
            if isinstance(given, TileFindings):
                settled.append(given)
            else:
                yield tile, given
            del given

    def _scores(self, group: Sequence[Fresh], seconds: StageSeconds) -> Iterable[NDArray[np.float32]]:
        """The scores of each tile, a group of which not all is known being screened whole; zeros where nothing is screened."""
        known = [self.seen.screened[tile.patch].scores for tile, _ in group if tile.patch in self.seen.screened]
        if len(known) == len(group):
            return known
        if isinstance(self.detector, OneStageDetector):
            window, stride = self._model.window_px, self._model.stride_px
            shapes = [((p.shape[0] - window) // stride + 1, (p.shape[1] - window) // stride + 1) for _, p in group]
            return [np.zeros(shape, np.float32) for shape in shapes]
        started = time.perf_counter()
        scores = self.detector.screen(np.stack([pixels for _, pixels in group]) if group[1:] else group[0][1][None])
        seconds.screen += time.perf_counter() - started
        return scores

    def _screen(
        self, patch: Patch, pixels: NDArray[np.uint8], scores: NDArray[np.float32], seconds: StageSeconds
    ) -> Screened:
        """The patch's scores, in which of its windows boxes shall be looked for, and how sharp it is."""
        rows, columns = np.mgrid[: scores.shape[0], : scores.shape[1]]
        origins = _corners(patch, rows.ravel(), columns.ravel(), self._model.stride_px)
        shown = self.in_slide(origins).reshape(scores.shape)
        looked = np.flatnonzero(shown & (scores >= self.threshold)).astype(np.int64)
        started = time.perf_counter()
        structure = self.structure_of(pixels)
        seconds.quality += time.perf_counter() - started
        return patch, np.where(shown, scores, np.float32(np.nan)), looked, structure

    def _cut(self, pixels: NDArray[np.uint8], screened: Screened) -> list[NDArray[np.uint8]]:
        """Copies of the windows in which boxes shall be looked for: the patch need not outlive its screening."""
        model, (_, scores, looked, _) = self._model, screened
        corners = np.stack(np.divmod(looked, scores.shape[1]), 1) * model.stride_px
        return [pixels[y : y + model.window_px, x : x + model.window_px].copy() for y, x in corners]

    def _detect(self, windows: list[NDArray[np.uint8]], seconds: StageSeconds) -> list[Detections]:
        batch = np.stack(windows)
        started = time.perf_counter()
        found = (
            self.detector.find(batch) if isinstance(self.detector, OneStageDetector) else self.detector.detect(batch)
        )
        seconds.detect += time.perf_counter() - started
        return found

    def _findings(self, screened: Screened, found: tuple[Detections, ...]) -> TileFindings:
        """What is known of a patch at the end."""
        patch, scores, looked, structure = screened
        if isinstance(self.detector, OneStageDetector):
            scores.flat[looked] = [detections.probabilities.max(initial=0) for detections in found]
        return TileFindings(patch, scores, looked, found, structure)

    def _raw(self) -> SubTileBoxes:
        """All boxes in work px of the slide; a sub-tile that two patches share counts once."""
        stride = self._model.stride_px
        origins = np.concatenate([np.empty((0, 2), np.float32), *(tile.origins(stride) for tile in self.tiles)])
        scores = np.concatenate([np.empty(0, np.float32), *(tile.scores.flat[tile.looked] for tile in self.tiles)])
        found = [detections for tile in self.tiles for detections in tile.found]
        _, kept = np.unique(origins, axis=0, return_index=True)
        local = Detections.concatenate(found[old] for old in kept)
        sub_tile = np.repeat(np.arange(len(kept)), [len(found[old]) for old in kept])
        boxes = local.boxes + np.tile(origins[kept], 2)[sub_tile]
        placed = Detections(boxes, local.probabilities, scores[kept][sub_tile])
        return SubTileBoxes(placed, sub_tile, origins[kept], scores[kept])


def group_by_shape(patches: Iterable[Fresh], most: int) -> Iterator[list[Fresh]]:
    """The patches in groups of one shape, of at most `most`; with 1 a patch is asked for when the one before is done with."""
    waiting: dict[tuple[int, ...], list[Fresh]] = {}
    for read in patches:
        shape = read[1].shape
        waiting.setdefault(shape, []).append(read)
        del read  # the next one is asked for while nobody holds this
        if len(waiting[shape]) == most:
            yield waiting.pop(shape)
    yield from waiting.values()


def _counting(patches: Iterator[Read], on_tile: Callable[[], None]) -> Iterator[Read]:
    """The patches, each counted when it is done with; the last of a whole chunk counts when the chunk is finished."""
    for number, read in enumerate(patches, 1):
        yield read
        del read
        if number < CHUNK_TILES:
            on_tile()


def _corners(patch: Patch, rows: NDArray[np.int64], columns: NDArray[np.int64], stride: int) -> NDArray[np.float32]:
    """Corners of sub-tiles of a patch, float32, shape (N, 2), (x, y), work px."""
    corners = np.stack([columns, rows], 1).astype(np.float32) * stride
    return corners + np.asarray([patch.region.x, patch.region.y], np.float32)
