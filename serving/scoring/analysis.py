"""What `score_slide` returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.report import Report
from serving.quality.quality_mask import QualityMask


@dataclass(frozen=True, slots=True)
class MitosisMap:
    """Reg-NS scores, or a one-stage detector's highest probabilities, on the slide-wide lattice of sub-tiles.

    scores : float32, shape (rows, columns); NaN where no sub-tile was scored. Element [i, j] is the sub-tile whose
    top left corner is at (x + j * step, y + i * step), level-0 px, and whose side is `window`.
    """

    scores: NDArray[np.float32]
    x: float
    y: float
    step: float
    window: float
    mpp: float
    """Microns per level-0 px."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A small picture of the slide.

    pixels : uint8, shape (height, width, 3)
    downsample : level-0 px per overview px
    """

    pixels: NDArray[np.uint8]
    downsample: float

    @classmethod
    def empty(cls) -> "Overview":
        """No picture, for formats that show none."""
        return cls(np.zeros((0, 0, 3), np.uint8), 1.0)


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of one `score_slide`: the report and the rasters that exports and viewers draw."""

    report: Report
    mitosis_map: MitosisMap
    overview: Overview
    quality: QualityMask | None = None
    """None where quality was not looked at, or the report came without its rasters."""
