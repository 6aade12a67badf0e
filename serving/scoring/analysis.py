"""What `score_slide` takes and returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.quality.judging import QualityMask
from serving.report import QualityUse, Report
from serving.scoring.profiles import DEFAULT_PROFILE
from serving.scoring.windows import Shape
from serving.wsi.geometry import Roi


@dataclass(frozen=True, slots=True)
class CountingOptions:
    """How figures are counted once they are found; see `counting.check_counting` for what is allowed."""

    hotspot_area: float | None = None
    """mm2; None: of the fields, else of the profile, else 2: the area of current practice (WHO classifications)."""
    hotspot_shape: Shape = "rectangle"
    hotspots: int = 3
    """At most so many windows, which do not overlap."""
    hotspot_min_tissue: float = 0.25
    """Windows with a smaller share of analysed tissue do not compete; a needle biopsy fills little more."""
    field_diameter: float | None = None
    """mm, of a microscope's field of view; the area is then that of `fields` of them."""
    fields: int = 10
    """High-power fields."""
    profile: str = DEFAULT_PROFILE
    """Cut-offs for the first hotspot, or `none`."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may ask of one analysis; None means the model card's or the slide's own value."""

    mpp: float | tuple[float, float] | None = None
    """Microns per px of the file, of both axes or of each, x first; overrides what the slide states."""
    roi: Roi | None = None
    threshold: float | None = None
    """Detection probability in place of the card's, 0 to 1."""
    cascade: bool = True
    """False runs Det on every sub-tile."""
    min_tissue_fraction: float = 0.05
    """Tiles with a smaller share of tissue are not scored; 0 scores every tile, glass too."""
    counting: CountingOptions = CountingOptions()
    qc: QualityUse = "report"
    """`exclude` takes what quality control masks out of tissue and figures; `off` looks for nothing."""


@dataclass(frozen=True, slots=True)
class MitosisMap:
    """Reg-NS scores on the slide-wide lattice of sub-tiles.

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
