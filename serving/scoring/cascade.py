"""Reg-NS on every sub-tile, Det on those that it passes, over a stream of patches."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.scoring.detector import Detector
from serving.scoring.merging import SubTileBoxes
from serving.scoring.plan import PlannedTile
from serving.scoring.tiling import Patch
from serving.wsi.detections import Detections

DETECT_BATCH = 16
"""Sub-tiles that Det sees at once, gathered across tiles."""


@dataclass(frozen=True, slots=True)
class TileScores:
    """scores : float32, shape (rows, columns) of the lattice, from (first_row, first_column) of `patch`."""

    patch: Patch
    scores: NDArray[np.float32]


@dataclass(slots=True)
class Cascade:
    """Feeds patches to a detector and gathers what it says.

    threshold : screening score from which Det looks at a sub-tile; -inf for all of them
    in_slide : whether a sub-tile, given its (x, y) corners in work px, float (N, 2), shows any of what is analysed
    """

    detector: Detector
    threshold: float
    in_slide: Callable[[NDArray[np.float32]], NDArray[np.bool_]]
    tiles: list[TileScores] = field(default_factory=list)
    screen_s: float = 0.0
    detect_s: float = 0.0
    _windows: list[NDArray[np.uint8]] = field(default_factory=list)
    _origins: list[NDArray[np.float32]] = field(default_factory=list)
    _scores: list[float] = field(default_factory=list)
    _found: list[Detections] = field(default_factory=list)

    def run(
        self, patches: Iterator[tuple[PlannedTile, NDArray[np.uint8]]], on_tile: Callable[[], None]
    ) -> SubTileBoxes:
        """Score all patches; `on_tile` is called after each."""
        for tile, pixels in patches:
            self._screen(tile.patch, pixels)
            while len(self._windows) >= DETECT_BATCH:
                self._detect(DETECT_BATCH)
            on_tile()
        if self._windows:
            self._detect(len(self._windows))
        return self._raw()

    def _screen(self, patch: Patch, pixels: NDArray[np.uint8]) -> None:
        model = self.detector.screening_card.input
        started = time.perf_counter()
        scores = self.detector.screen(pixels[None])[0]
        self.screen_s += time.perf_counter() - started
        rows, columns = np.mgrid[: scores.shape[0], : scores.shape[1]]
        corners = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32) * model.stride_px
        origins = corners + np.asarray([patch.region.x, patch.region.y], np.float32)
        shown = self.in_slide(origins).reshape(scores.shape)
        self.tiles.append(TileScores(patch, np.where(shown, scores, np.float32(np.nan))))
        for i in np.flatnonzero(shown.ravel() & (scores.ravel() >= self.threshold)):
            x, y = corners[i].astype(int)
            self._windows.append(pixels[y : y + model.window_px, x : x + model.window_px].copy())
            self._origins.append(origins[i])
            self._scores.append(float(scores.flat[i]))

    def _detect(self, count: int) -> None:
        batch, self._windows = np.stack(self._windows[:count]), self._windows[count:]
        started = time.perf_counter()
        found = self.detector.detect(batch)
        self.detect_s += time.perf_counter() - started
        self._found.extend(found)

    def _raw(self) -> SubTileBoxes:
        """All boxes in work px of the slide; a sub-tile that two patches share counts once."""
        origins = np.asarray(self._origins, np.float32).reshape(-1, 2)
        _, kept = np.unique(origins, axis=0, return_index=True)
        parts, sub_tile = [], []
        for new, old in enumerate(kept):
            local, score = self._found[old], self._scores[old]
            shift = np.tile(origins[old], 2)
            parts.append(Detections(local.boxes + shift, local.probabilities, np.full(len(local), score, np.float32)))
            sub_tile.append(np.full(len(local), new, np.int64))
        return SubTileBoxes(
            Detections.concatenate(parts),
            np.concatenate([np.empty(0, np.int64), *sub_tile]),
            origins[kept],
            np.asarray(self._scores, np.float32)[kept],
        )
