"""A second look at doubtful candidates of a fast analysis: at the sub-tiles that an exact one would show of them too."""

import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.modelinput import ModelInput
from serving.scoring.batch_sizes import choose_batch_sizes
from serving.scoring.detector import Detector
from serving.scoring.merging import SubTileBoxes
from serving.scoring.verification import read_windows
from serving.slides.slide import Slide

Corner = tuple[int, int]
"""(x, y) of a sub-tile, work px."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """Sub-tiles at which nobody looked yet, shown to Reg-NS and Det because a candidate in them is in doubt.

    Where a figure lies and how likely it is comes of all sub-tiles that show it (`merging.merge`). A fast analysis looks at few of
    them, so both are rougher estimates of what an exact one would say.

    model : what Reg-NS is fed. threshold : its score from which Det looks
    raw : what Det found so far, work px. merge : makes candidates of such boxes. radius : within which boxes are one figure, work px
    shows_slide : whether sub-tiles with these corners, float32 (N, 2), work px, show any of what is analysed
    """

    slide: Slide
    frame: WorkFrame
    detector: Detector
    model: ModelInput
    threshold: float
    raw: SubTileBoxes
    merge: Callable[[SubTileBoxes], Detections]
    radius: float
    shows_slide: Callable[[NDArray[np.float32]], NDArray[np.bool_]]

    def look(self, candidates: Detections, doubtful: NDArray[np.bool_]) -> Detections:
        """Those in doubt as all sub-tiles together show them, in their order; as they are where nothing new was to be seen.

        candidates : all, boxes in work px, with Det's merged probabilities. doubtful : which of them are in doubt, shape (N,)
        """
        new = self._detect(self._find_unseen(candidates.centres[doubtful]))
        if not len(new.origins):
            return candidates[doubtful]
        merged = self.merge(_join(self.raw, new))
        found = cKDTree(merged.centres).query(candidates.centres, distance_upper_bound=self.radius)
        away, nearest = np.asarray(found[0]), np.asarray(found[1])
        boxes, probabilities = candidates.boxes.copy(), candidates.probabilities.copy()
        taken = set[int]()
        # Each becomes the figure that lies where it was; one figure is not counted as two, so the nearest candidate has it, in doubt or not.
        for number in np.argsort(away, kind="stable").tolist():
            figure = int(nearest[number])
            if math.isfinite(away[number]) and figure not in taken:
                taken.add(figure)
                boxes[number], probabilities[number] = merged.boxes[figure], merged.probabilities[figure]
        return Detections(boxes, probabilities, candidates.scores)[doubtful]

    def _find_unseen(self, centres: NDArray[np.float32]) -> NDArray[np.int64]:
        """Corners of the sub-tiles of the lattice that show places and in which Det did not look, int64, shape (N, 2), work px."""
        around = {corner for centre in centres.tolist() for corner in self._find_around(centre)}
        seen = {(int(x), int(y)) for x, y in self.raw.origins.tolist()}
        corners = np.asarray(sorted(around - seen), np.int64).reshape(-1, 2)
        return corners[self.shows_slide(corners.astype(np.float32))]

    def _find_around(self, centre: list[float]) -> list[Corner]:
        """The sub-tiles of the lattice that show a place, (x, y): with half overlap four."""
        window, stride = self.model.window_px, self.model.stride_px
        columns, rows = (range(math.ceil((p - window) / stride), math.floor(p / stride) + 1) for p in centre)
        return [(column * stride, row * stride) for column, row in itertools.product(columns, rows)]

    def _detect(self, corners: NDArray[np.int64]) -> SubTileBoxes:
        """What Det finds in those of the sub-tiles that Reg-NS passes on."""
        pace, side = choose_batch_sizes(self.detector.provider), self.model.window_px
        found, passed, scores = list[Detections](), list[NDArray[np.intp]](), list[NDArray[np.float32]]()
        read = read_windows(corners, self.slide, self.frame, side, pace=pace, size=pace.windows)
        with contextlib.closing(read) as batches:  # whatever ends this ends its readers
            for numbers, windows in batches:
                said = self.detector.screen(windows)[:, 0, 0]
                passes = said >= self.threshold
                if passes.any():
                    found += self.detector.detect(windows[passes])
                passed.append(numbers[passes])
                scores.append(said[passes])
        origins = corners[np.concatenate([np.empty(0, np.intp), *passed])].astype(np.float32)
        said = np.concatenate([np.empty(0, np.float32), *scores])
        sub_tile = np.repeat(np.arange(len(found)), [len(one) for one in found])
        local = Detections.concatenate(found)
        boxes = local.boxes + np.tile(origins[sub_tile], 2)
        return SubTileBoxes(Detections(boxes, local.probabilities, said[sub_tile]), sub_tile, origins, said)


def _join(one: SubTileBoxes, other: SubTileBoxes) -> SubTileBoxes:
    """What was found in the sub-tiles of both, which share none."""
    return SubTileBoxes(
        Detections.concatenate([one.detections, other.detections]),
        np.concatenate([one.sub_tile, other.sub_tile + len(one.origins)]),
        np.concatenate([one.origins, other.origins]),
        np.concatenate([one.origin_scores, other.origin_scores]),
    )
