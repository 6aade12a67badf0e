"""What the cascade found in a tile, and where such findings are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.quality.focus import Structure
from serving.scoring.tiling import Patch


def make_empty_structure() -> Structure:
    """The structure of a patch at which nobody looked."""
    return np.empty((0, 0, 2), np.float32)


@dataclass(frozen=True, slots=True)
class TileFindings:
    """What the models say of one patch, and how sharp it is.

    scores : float32, shape (rows, columns), of the patch's windows: of a cascade Reg-NS's, of the lattice from (first_row,
        first_column) of `patch` on, NaN where it did not look; of a one-stage detector the highest probability in each
    looked : int64, shape (N,), windows in which boxes were looked for, as indices into the flat scores
    found : what Det found in each of them, sub-tile px
    structure : of the patch's blocks of a stride, see `quality.focus`
    triage : float32, the shape of `scores`, the light net's probabilities, see `triage_tiles`; NaN outside the slide, None
        where it did not look first
    """

    patch: Patch
    scores: NDArray[np.float32]
    looked: NDArray[np.int64]
    found: tuple[Detections, ...]
    structure: Structure = field(default_factory=make_empty_structure)
    triage: NDArray[np.float32] | None = None

    def origins(self, stride: int) -> NDArray[np.float32]:
        """Corners of the windows in which boxes were looked for, float32, shape (N, 2), work px."""
        rows, columns = np.divmod(self.looked, self.scores.shape[1])
        return find_corners(self.patch, rows, columns, stride)


@dataclass(frozen=True, slots=True)
class FindingsCache:
    """What earlier analyses of the slide found in patches, by the same first model.

    found : what both models say, of the same Det behind the same screening threshold
    screened : what Reg-NS says, and how sharp the patch is; what Det found in it is not used
    """

    found: Mapping[Patch, TileFindings] = field(default_factory=dict)
    screened: Mapping[Patch, TileFindings] = field(default_factory=dict)


def find_corners(patch: Patch, rows: NDArray[np.int64], columns: NDArray[np.int64], stride: int) -> NDArray[np.float32]:
    """Corners of sub-tiles of a patch, float32, shape (N, 2), (x, y), work px."""
    corners = np.stack([columns, rows], 1).astype(np.float32) * stride
    return corners + np.asarray([patch.region.x, patch.region.y], np.float32)
