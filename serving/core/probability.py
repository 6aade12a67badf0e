"""Maps from the probability that models give to the share of such detections that are figures, as cards state them."""

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

SUREST = 1e-6
"""Probabilities are cut to SUREST..1 - SUREST before their logit is taken."""

_Probability = Annotated[float, Field(ge=0, le=1)]


class LogitAffine(BaseModel):
    """p -> 1 / (1 + exp(-(slope logit(p) + intercept))): Platt scaling of the logit; temperature scaling has no intercept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["logit-affine"] = "logit-affine"
    slope: float = Field(gt=0, allow_inf_nan=False)
    intercept: FiniteFloat

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64, of the shape given; where one is higher, so is the other."""
        p = np.clip(np.asarray(probabilities, np.float64), SUREST, 1 - SUREST)
        # tanh does not overflow where exp does.
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * (self.slope * (np.log(p) - np.log1p(-p)) + self.intercept)))


class MonotoneTable(BaseModel):
    """p -> a table's value, straight between its points and level beyond them: an isotonic fit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["table"] = "table"
    probabilities: list[_Probability] = Field(min_length=1, description="Rising.")
    values: list[_Probability] = Field(min_length=1, description="Not falling.")

    @model_validator(mode="after")
    def _monotonic(self) -> Self:
        """Interpolation needs rising points; a value that fell would put detections in another order."""
        if len(self.probabilities) != len(self.values):
            raise ValueError("probabilities and values differ in length")
        if any(b <= a for a, b in pairwise(self.probabilities)) or any(b < a for a, b in pairwise(self.values)):
            raise ValueError("probabilities must rise and values must not fall")
        return self

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64, of the shape given."""
        return np.interp(np.asarray(probabilities, np.float64), self.probabilities, self.values)


ProbabilityMap = Annotated[LogitAffine | MonotoneTable, Field(discriminator="kind")]
IDENTITY = LogitAffine(slope=1.0, intercept=0.0)
"""Leaves probabilities as they are, but for the cut."""
