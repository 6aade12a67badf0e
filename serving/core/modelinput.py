"""What a graph is fed, as its card states it."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Colour = tuple[float, float, float]
"""A number of red, green and blue."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Normalisation(_Strict):
    """What the graph makes of a pixel before the network sees it: (value / scale - mean) / std, of each channel."""

    scale: float = Field(gt=0, allow_inf_nan=False, description="255 brings bytes to 0..1.")
    mean: Colour = Field(description="Of red, green and blue.")
    std: Colour = Field(description="Of red, green and blue; none is 0.")

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError("mean and std must be finite, and std above 0")
        return self


class ModelInput(_Strict):
    """What the graph is fed."""

    window_px: int = Field(gt=0, description="Side of a window, of a cascade's sub-tile, in work px (paper: 250).")
    stride_px: int = Field(
        gt=0,
        description="Distance of neighbouring windows in work px (paper: 125); a verifier, which sees one window a "
        "candidate and no lattice, states its window's side.",
    )
    overlap_px: int | None = Field(
        default=None,
        ge=0,
        description="Of a one-stage detector or a regions model: px that neighbouring windows share, window_px - stride_px. A figure that a seam "
        "cuts lies whole in one of them where it is no larger than that.",
    )
    normalisation: Normalisation | None = Field(
        default=None, description="What the graph does to pixels first; null where nobody stated it."
    )
    batch: int | None = Field(
        default=None,
        gt=0,
        le=4096,
        description="Of a one-stage detector or a regions model: windows that it is given at once; by default what suits the machine. A graph "
        "whose first axis is fixed states that number here.",
    )
    mpp: float = Field(gt=0, description="Microns per px that the model was trained at.")
    layout: str = Field(description="Name, dtype, axes and colour order of the input tensor.")
    whole_tile: bool = Field(
        default=False,
        description="The sub-tiles of a tile share its features, so a tile must be given whole; else a sub-tile's score "
        "depends on its own pixels alone.",
    )
