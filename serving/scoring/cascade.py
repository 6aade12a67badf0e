"""Reg-NS on every sub-tile, Det on those that it passes, over a stream of patches."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.quality.focus import Structure
from serving.scoring.detector import Detector
from serving.scoring.merging import SubTileBoxes
from serving.scoring.plan import PlannedTile
from serving.scoring.tiling import Patch
from serving.wsi.detections import Detections

DETECT_BATCH = 16
"""Sub-tiles that Det sees at once, gathered across tiles."""
CHUNK_TILES = 32
"""Tiles that are finished together. No batch of Det reaches across chunks, so an analysis that goes on after any whole
chunk shows Det the same batches as one that was never interrupted, and gives the same numbers to the last bit."""


def nothing_seen() -> Structure:
    """The structure of a patch at which nobody looked."""
    return np.empty((0, 0, 2), np.float32)


@dataclass(frozen=True, slots=True)
class TileFindings:
    """What both models say of one patch, and how sharp it is.

    scores : float32, shape (rows, columns) of the lattice, from (first_row, first_column) of `patch`
    looked : int64, shape (N,), sub-tiles that Det looked at, as indices into the flat scores
    found : what Det found in each of them, sub-tile px
    structure : of the patch's blocks of a stride, see `quality.focus`
    """

    patch: Patch
    scores: NDArray[np.float32]
    looked: NDArray[np.int64]
    found: tuple[Detections, ...]
    structure: Structure = field(default_factory=nothing_seen)

    def origins(self, stride: int) -> NDArray[np.float32]:
        """Corners of the sub-tiles that Det looked at, float32, shape (N, 2), work px."""
        rows, columns = np.divmod(self.looked, self.scores.shape[1])
        return _corners(self.patch, rows, columns, stride)


def check_finished(finished: Sequence[TileFindings], planned: Sequence[PlannedTile]) -> None:
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


@dataclass(slots=True)
class Cascade:
    """Feeds patches to a detector and gathers what it says.

    threshold : screening score from which Det looks at a sub-tile; -inf for all of them
    in_slide : whether a sub-tile, given its (x, y) corners in work px, float (N, 2), shows any of what is analysed
    structure_of : gives a patch's structure
    tiles : finished tiles; those that an earlier run finished may be given
    """

    detector: Detector
    threshold: float
    in_slide: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
    structure_of: Callable[[NDArray[np.uint8]], Structure] = lambda _: nothing_seen()
    tiles: list[TileFindings] = field(default_factory=list)
    screen_s: float = 0.0
    detect_s: float = 0.0
    quality_s: float = 0.0
    _screened: list[tuple[Patch, NDArray[np.float32], NDArray[np.int64], Structure]] = field(default_factory=list)
    _windows: list[NDArray[np.uint8]] = field(default_factory=list)
    _found: list[Detections] = field(default_factory=list)

    def run(
        self,
        patches: Iterator[tuple[PlannedTile, NDArray[np.uint8]]],
        on_tile: Callable[[], None],
        on_finished: Callable[[Sequence[TileFindings]], None] | None = None,
    ) -> SubTileBoxes:
        """Score all patches; `on_tile` is called after each, `on_finished` with the tiles of each chunk."""
        for tile, pixels in patches:
            self._screen(tile.patch, pixels)
            while len(self._windows) >= DETECT_BATCH:
                self._detect(DETECT_BATCH)
            if len(self._screened) == CHUNK_TILES:
                self._finish_chunk(on_finished)
            on_tile()
        if self._screened:
            self._finish_chunk(on_finished)
        return self._raw()

    def _screen(self, patch: Patch, pixels: NDArray[np.uint8]) -> None:
        model = self.detector.screening_card.input
        started = time.perf_counter()
        scores = self.detector.screen(pixels[None])[0]
        self.screen_s += time.perf_counter() - started
        rows, columns = np.mgrid[: scores.shape[0], : scores.shape[1]]
        origins = _corners(patch, rows.ravel(), columns.ravel(), model.stride_px)
        shown = self.in_slide(origins).reshape(scores.shape)
        looked = np.flatnonzero(shown & (scores >= self.threshold)).astype(np.int64)
        started = time.perf_counter()
        structure = self.structure_of(pixels)
        self.quality_s += time.perf_counter() - started
        self._screened.append((patch, np.where(shown, scores, np.float32(np.nan)), looked, structure))
        for row, column in zip(*np.divmod(looked, scores.shape[1]), strict=True):
            y, x = row * model.stride_px, column * model.stride_px
            self._windows.append(pixels[y : y + model.window_px, x : x + model.window_px].copy())

    def _detect(self, count: int) -> None:
        batch, self._windows = np.stack(self._windows[:count]), self._windows[count:]
        started = time.perf_counter()
        found = self.detector.detect(batch)
        self.detect_s += time.perf_counter() - started
        self._found.extend(found)

    def _finish_chunk(self, on_finished: Callable[[Sequence[TileFindings]], None] | None) -> None:
        if self._windows:
            self._detect(len(self._windows))
        found = iter(self._found)
        chunk = [
            TileFindings(patch, scores, looked, tuple(itertools.islice(found, len(looked))), structure)
            for patch, scores, looked, structure in self._screened
        ]
        self._screened, self._found = [], []
        self.tiles.extend(chunk)
        if on_finished is not None:
            on_finished(chunk)

    def _raw(self) -> SubTileBoxes:
        """All boxes in work px of the slide; a sub-tile that two patches share counts once."""
        stride = self.detector.screening_card.input.stride_px
        origins = np.concatenate([np.empty((0, 2), np.float32), *(tile.origins(stride) for tile in self.tiles)])
        scores = np.concatenate([np.empty(0, np.float32), *(tile.scores.flat[tile.looked] for tile in self.tiles)])
        found = [detections for tile in self.tiles for detections in tile.found]
        _, kept = np.unique(origins, axis=0, return_index=True)
        parts, sub_tile = [], []
        for new, old in enumerate(kept):
            local, shift = found[old], np.tile(origins[old], 2)
            given = np.full(len(local), scores[old], np.float32)
            parts.append(Detections(local.boxes + shift, local.probabilities, given))
            sub_tile.append(np.full(len(local), new, np.int64))
        return SubTileBoxes(
            Detections.concatenate(parts),
            np.concatenate([np.empty(0, np.int64), *sub_tile]),
            origins[kept],
            scores[kept],
        )


def _corners(patch: Patch, rows: NDArray[np.int64], columns: NDArray[np.int64], stride: int) -> NDArray[np.float32]:
    """Corners of sub-tiles of a patch, float32, shape (N, 2), (x, y), work px."""
    corners = np.stack([columns, rows], 1).astype(np.float32) * stride
    return corners + np.asarray([patch.region.x, patch.region.y], np.float32)
