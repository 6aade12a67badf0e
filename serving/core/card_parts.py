"""Parts of a model card: thresholds, calibrations, references of drift, and what the data were."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.core.modelinput import Colour
from serving.core.probability import ProbabilityMap

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

Shares = Annotated[list[float], Field(min_length=2)]


class CardPart(BaseModel):
    """A part of a card: what it does not know is refused, and nothing of it changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TriageThreshold(CardPart):
    """The triage probability of a cell from which Reg-NS looks at the sub-tile around it."""

    probability: float = Field(ge=0, le=1)
    how_chosen: str
    data: str
    achieved: str


class ScreeningThreshold(CardPart):
    """The Reg-NS score from which a sub-tile is passed on to Det."""

    score: float
    how_chosen: str
    data: str
    achieved: str


class DetectionThreshold(CardPart):
    """From which probability a detection is a mitotic figure: Det's after merging; on a verifier's card, the joint one."""

    probability: float = Field(ge=0, le=1)
    how_chosen: str
    data: str
    achieved: str


class VerifierViews(CardPart):
    """How often a verifier is shown a window, turned and mirrored, and when a fast analysis is content with once."""

    count: Literal[8] = Field(
        description="Symmetries of the square. The graph sees a window as it is given, and the mean of the logits counts."
    )
    first_probability: float = Field(
        ge=0,
        le=1,
        description="Joint probability after the first view, before calibration, below which a fast analysis keeps that and asks "
        "for no other view.",
    )
    how_chosen: str
    data: str
    achieved: str


class AtypicalThreshold(CardPart):
    """From which probability a mitotic figure is an atypical one: of the calibrated probability, where the card calibrates it."""

    probability: float = Field(ge=0, le=1)
    how_chosen: str
    data: str
    achieved: str


class CountCalibration(CardPart):
    """Isotonic table from a sub-tile's score to the agreement it stands for, fitted at natural prevalence."""

    id: str = Field(description="Hash of the table.")
    scores: list[float] = Field(min_length=1, description="Rising.")
    values: list[float] = Field(min_length=1, description="Not falling.")
    mean_agreement: float = Field(gt=0, le=1, description="Of the figures in the data.")
    sub_tiles: int = Field(gt=0)
    slides: int = Field(gt=0)
    data: str

    @model_validator(mode="after")
    def _monotonic(self) -> Self:
        """Interpolation needs rising scores, and calibration values that do not fall."""
        if len(self.scores) != len(self.values):
            raise ValueError("scores and values differ in length")
        if any(b <= a for a, b in pairwise(self.scores)) or any(b < a for a, b in pairwise(self.values)):
            raise ValueError("scores must rise and values must not fall")
        return self


class ProbabilityCalibration(CardPart):
    """What makes the probability of the model that speaks last the share of such detections that are figures."""

    map: ProbabilityMap
    how_chosen: str
    data: str
    achieved: str


class FigureCount(CardPart):
    """From the calibrated probabilities of all candidates to an expected number of figures and its interval."""

    factor: float = Field(
        ge=1, allow_inf_nan=False, description="Figures over those that candidates show: what no candidate shows."
    )
    spread: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="Standard deviation of true over expected counts of patients, beyond chance, as a share.",
    )
    how_chosen: str
    data: str
    achieved: str


class StainReference(CardPart):
    """The direction of a stain in optical density."""

    colour: Colour = Field(description="Mean over slides, of length 1.")
    spread_deg: float = Field(ge=0, description="Root mean square angle of the slides' own to it; 0 of one slide.")


class DriftReference(CardPart):
    """Distributions of scores and colours, each slide with the same weight."""

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


class DataSource(CardPart):
    """One data set that the weights saw."""

    name: str
    use: str
    licence: str


class SlideFigures(CardPart):
    """Measured on one slide that the evaluated weights had not seen."""

    slide: str
    true_figures: int
    precision: float
    recall: float
    f1: float
