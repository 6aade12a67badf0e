"""What slides are like that a Reg-NS is used on: what recent ones are compared with."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Shares = Annotated[list[float], Field(min_length=2)]
Colour = tuple[float, float, float]
"""Optical density of red, green and blue, of length 1."""


class StainReference(BaseModel):
    """The direction of a stain in optical density."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    colour: Colour = Field(description="Mean over slides, of length 1.")
    spread_deg: float = Field(ge=0, description="Root mean square angle of the slides' own to it; 0 of one slide.")


class DriftReference(BaseModel):
    """Distributions of scores and colours, each slide with the same weight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: int = Field(gt=0)
    data: str = Field(description="Which slides.")
    scores: Shares = Field(
        description="Shares of sub-tiles in the bins of scores (serving/comparison/distributions.py)."
    )
    density: Shares = Field(
        description="Shares of tissue in the bins of optical density (serving/drift/statistics.py)."
    )
    mean_score: float
    mean_density: float = Field(
        description="Optical density of tissue, mean of red, green and blue, natural logarithm."
    )
    haematoxylin: StainReference | None = Field(description="Null where no slide showed both stains.")
    eosin: StainReference | None
