"""How the probabilities of several detectors become one, as the card of an ensemble states it."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FusionMethod = Literal["mean", "logit"]
"""`mean`: the weighted mean of probabilities (weighted boxes fusion, Solovyev et al. 2021). `logit`: that of their logits."""
CASCADE = "cascade"
"""Name of the cascade among the detectors of an ensemble; a one-stage detector has the name of its role."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FusedModel(_Part):
    """A version that the ensemble was made of."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")
    version: str = Field(pattern=r"^\d{1,9}(\.\d{1,9}){0,4}$")
    card: Sha256 = Field(description="SHA-256 of its card.json, which states its thresholds and its calibration.")

    @property
    def label(self) -> str:
        """`det@1.1.0`."""
        return f"{self.name}@{self.version}"


class FusedDetector(_Part):
    """A detector, and how much its word is worth."""

    name: str = Field(min_length=1, description="`cascade`, or the role of a one-stage detector, such as `points`.")
    models: list[FusedModel] = Field(min_length=1, description="In the order in which they see a slide.")
    weight: float = Field(gt=0, allow_inf_nan=False, description="Only the ratio to those of the others matters.")
    floor: float = Field(
        gt=0, lt=1, description="Probability that its silence counts as, where it looked and found nothing."
    )


class Fusion(_Part):
    """Which detectors are fused, and how. The order of the detectors is that in which they see a slide."""

    method: FusionMethod
    distance_um: float = Field(
        default=7.5, gt=0, le=100, description="What different detectors find within this distance is one figure."
    )
    detectors: list[FusedDetector] = Field(min_length=1)
    how_chosen: str
    data: str
    achieved: str
    speed: str = Field(description="What a slide costs: the sum over the detectors.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [detector.name for detector in self.detectors]
        if len(set(names)) < len(names):
            raise ValueError(f"two detectors of an ensemble have one name: {', '.join(names)}")
        return self

    @property
    def models(self) -> list[FusedModel]:
        """All versions, in the order in which they see a slide."""
        return [model for detector in self.detectors for model in detector.models]
