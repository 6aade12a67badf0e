"""What `score_slide` returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Roi
from serving.core.report import Report
from serving.quality.quality_mask import QualityMask
from serving.scoring.tissue import TissueMask, tissue_in


@dataclass(frozen=True, slots=True)
class MitosisMap:
    """Reg-NS scores, or a one-stage detector's highest probabilities, on the slide-wide lattice of sub-tiles.

    scores : float32, shape (rows, columns); NaN where no sub-tile was scored. Element [i, j] is the sub-tile whose
    top left corner is at (x + j * step, y + i * step), level-0 px, and whose side is `window`.
    triage : float32, the shape of `scores`; the light net's probability of a figure in the middle of each sub-tile at which it
    alone looked, NaN elsewhere; None where it did not look at the slide
    """

    scores: NDArray[np.float32]
    x: float
    y: float
    step: float
    window: float
    mpp: float
    """Microns per level-0 px."""
    triage: NDArray[np.float32] | None = None

    def score_at(self, centres: NDArray[np.float32]) -> NDArray[np.float32]:
        """The score of the sub-tile in whose middle each place lies, 0 where none was scored, float32, shape (N,).

        centres : float32, shape (N, 2), (x, y), level-0 px
        """
        if not self.scores.size:
            return np.zeros(len(centres), np.float32)
        rows, columns = self.scores.shape
        place = (centres.astype(np.float64) - (self.x + self.window / 2, self.y + self.window / 2)) / self.step
        column, row = np.rint(place).astype(np.int64).T
        found = self.scores[row.clip(0, rows - 1), column.clip(0, columns - 1)]
        return np.where(np.isnan(found), np.float32(0), found)

    def combine(self) -> NDArray[np.float32]:
        """What a picture of the map shows, the shape of `scores`: these, and the light net's probabilities where it alone looked."""
        return self.scores if self.triage is None else np.where(np.isnan(self.scores), self.triage, self.scores)


@dataclass(frozen=True, slots=True)
class Overview:
    """A small picture of the slide.

    pixels : uint8, shape (height, width, 3)
    downsample : level-0 px per overview px
    """

    pixels: NDArray[np.uint8]
    downsample: float
    _tissue: dict[object, TissueMask] = field(default_factory=dict, init=False, repr=False, compare=False)

    def find_tissue(self, width: int, height: int, mpp: float, roi: Roi | None) -> TissueMask:
        """See `tissue_in`. It takes seconds for a large slide, and a viewer asks after each verdict: what was found is kept."""
        key = (width, height, mpp, roi)
        if key not in self._tissue:
            self._tissue[key] = tissue_in(self.pixels, width, height, mpp, roi)
        return self._tissue[key]

    @classmethod
    def empty(cls) -> "Overview":
        """No picture, for formats that show none."""
        return cls(np.zeros((0, 0, 3), np.uint8), 1.0)


@dataclass(frozen=True, slots=True)
class SlideViews:
    """Pixels of the slide that a printed report shows; each uint8, shape (height, width, 3).

    window : the window that the report is about; None where there is none
    crops : surroundings of figures, by the keys that exports call them
    """

    window: NDArray[np.uint8] | None
    crops: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of one `score_slide`: the report and the rasters that exports and viewers draw."""

    report: Report
    mitosis_map: MitosisMap
    overview: Overview
    quality: QualityMask | None = None
    """None where quality was not looked at, or the report came without its rasters."""
    views: SlideViews | None = None
    """None where nobody asked for pixels of the slide, or the slide is gone."""

    @property
    def roi(self) -> Roi | None:
        """The part of the slide that was analysed; None for all of it."""
        stated = self.report.settings.roi
        return None if stated is None else Roi(tuple(stated))

    def find_tissue(self) -> TissueMask:
        """The tissue that was analysed, found in the overview as when the slide was scored."""
        info = self.report.slide
        return self.overview.find_tissue(info.width, info.height, info.mpp, self.roi)
