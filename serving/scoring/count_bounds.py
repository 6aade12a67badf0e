"""What bounds a count beside tissue: the regions to count in and those to leave out. Everything that counts asks here."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import Bound, Counting
from serving.core.outlines import Outlines
from serving.core.report_parts import QualityUse
from serving.quality.quality_mask import QualityMask
from serving.scoring.area import Area
from serving.scoring.quality_masking import exclude_masked_tissue
from serving.scoring.tissue import TissueMask, rasterise


@dataclass(frozen=True, slots=True)
class CountBounds:
    """Regions in level-0 px.

    within : None for everywhere
    exclude : None for nothing
    by_model : whether a regions model stated both
    """

    within: Outlines | None = None
    exclude: Outlines | None = None
    by_model: bool = False

    @classmethod
    def from_counting(cls, counting: Counting) -> Self:
        """Those of a report's settings."""
        return cls(
            Outlines.from_report(counting.within),
            Outlines.from_report(counting.exclude),
            by_model=counting.regions_by == "model",
        )

    def hold(self, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which figures count, by their centre, bool, shape (N,): see `Outlines.hold` for those on an edge.

        centres : float64, shape (N, 2), (x, y), level-0 px
        """
        held = np.ones(len(centres), np.bool_) if self.within is None else self.within.hold(centres)
        return held if self.exclude is None else held & ~self.exclude.hold(centres)

    def find_area(self, tissue: TissueMask, quality: QualityMask | None, qc: QualityUse | None) -> Area:
        """The tissue that is counted in: analysed, in the regions and, where `qc` asks for it, not masked by quality control."""
        tissue = exclude_masked_tissue(tissue, quality, qc)
        counted = tissue.tissue & tissue.analysed
        for outlines, inside in ((self.within, True), (self.exclude, False)):
            if outlines is not None:
                counted &= rasterise(outlines.edges, counted.shape, tissue.step_x, tissue.step_y) == inside
        return Area(counted, tissue.step_x, tissue.step_y)

    def name_bounds(self, *, roi: bool, quality: QualityMask | None, qc: QualityUse | None) -> list[Bound]:
        """What limits the counts, as the report states it. roi : whether only a part of the slide was analysed."""
        known: dict[Bound, bool] = {
            "tissue": True,
            "roi": roi,
            "within": self.within is not None and not self.by_model,
            "exclude": self.exclude is not None and not self.by_model,
            "regions model": self.by_model,
            "quality mask": quality is not None and qc == "exclude",
        }
        return [bound for bound, limits in known.items() if limits]
