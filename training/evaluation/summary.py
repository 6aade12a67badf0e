"""The evaluation of a cascade as JSON: its classes are its JSON Schema, versioned by `schema_version`."""

from math import isnan
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serving.core.words import RESEARCH_USE

SCHEMA_VERSION: Final = "1.0"
"""Minor versions add fields; a major version changes or removes one."""


def _null_if_nan(value: object) -> object:
    return None if isinstance(value, float) and isnan(value) else value


Defined = Annotated[float | None, BeforeValidator(_null_if_nan)]
"""A number, or null where there were no cases to measure it on: JSON has no NaN, and 0 would be a lie."""


class Part(BaseModel):
    """A part of a document that is written and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, from_attributes=True)


class Measured(Part):
    """A figure with its interval; the bounds are null where there is none, for the stated reason."""

    value: Defined
    low: Defined
    high: Defined
    level: float = Field(gt=0, lt=1, description="Of the interval, e.g. 0.95.")
    unit: Literal["slides", "fields", "patients", "groups"] = Field(
        description="What the bootstrap drew with replacement."
    )
    units: int = Field(ge=0, description="How many of them there are.")
    draws: int = Field(ge=0, description="Draws in which the figure was defined.")
    reason: str | None = Field(default=None, description="Why there is no interval.")

    @property
    def words(self) -> str:
        """For people: the figure to three places, with its interval or why there is none."""
        if self.value is None:
            return "not measured"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (no interval: {self.reason})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class ModelVersion(Part):
    """A model that took part."""

    name: str
    version: str
    sha256: str | None = Field(default=None, description="Of its weights.")


class DataDescription(Part):
    """What was evaluated on, in words."""

    name: str
    description: str = Field(description="Tissue, stain, scanner and how the fields were chosen.")
    labels: str = Field(description="Who labelled, and how labels were joined.")
    seen_in_training: str = Field(description="What the evaluated weights saw of these slides.")


class DataCounts(Part):
    """How much was evaluated on."""

    slides: int
    fields: int
    figures: int = Field(description="Labelled mitotic figures.")
    area_mm2: float


class DetectionCounts(Part):
    """Detections against labelled figures at the detection threshold."""

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: Measured
    recall: Measured
    f1: Measured


class SlideRow(Part):
    """One slide at the detection threshold."""

    slide: str
    fields: int
    figures: int
    true_positives: int
    false_positives: int
    false_negatives: int
    precision: Defined
    recall: Defined
    f1: Defined


class SpreadRow(Part):
    """How a figure differs between slides."""

    figure: Literal["precision", "recall", "F1", "TPR", "FPR"]
    minimum: Defined
    median: Defined
    maximum: Defined
    sd: Defined = Field(description="Of a sample, divided by slides - 1.")
    units: int = Field(description="Slides on which the figure is defined.")


class FigureFree(Part):
    """Detections at the detection threshold on fields without a labelled figure: each is false."""

    fields: int
    area_mm2: float
    false_positives: int
    per_mm2: Measured


class SubTileRow(Part):
    """Sub-tiles at one threshold."""

    threshold: float
    true_positives: int
    false_positives: int
    tpr: Measured
    fpr: Measured


class SubTileSlideRow(Part):
    """Sub-tiles of one slide at `SubTiles.threshold`."""

    slide: str
    positives: int
    negatives: int
    tpr: Defined
    fpr: Defined


class RocPoint(Part):
    """A point of the ROC curve of sub-tiles."""

    fpr: float
    tpr: float


class PrecisionRecallPoint(Part):
    """A point of the precision-recall curve of sub-tiles."""

    recall: float
    precision: float


class ReliabilityRow(Part):
    """Cases of neighbouring probability, and the share of them that come true with Wilson's 95 % interval."""

    count: int
    mean_probability: float
    observed: float
    low: float
    high: float


class Calibration(Part):
    """Whether cases of probability p come true in a share p: detections that are figures, sub-tiles that are positive."""

    expected_calibration_error: Defined
    bins: list[ReliabilityRow]


class SubTiles(Part):
    """Scores of sub-tiles against their labels."""

    positives: int
    negatives: int
    positive_rule: str = Field(description="When a sub-tile is positive: any, r_min or centre.")
    rates: list[SubTileRow]
    threshold: float = Field(description="At which slides are told apart.")
    per_slide: list[SubTileSlideRow]
    spread: list[SpreadRow]
    calibration: Calibration = Field(description="Of scores cut to 0..1.")
    auc: Defined = Field(description="Area under the ROC curve.")
    average_precision: Defined
    roc: list[RocPoint] = Field(description="Thinned for drawing; the area is of the whole curve.")
    precision_recall: list[PrecisionRecallPoint] = Field(description="Thinned for drawing.")


class AveragePrecision(Part):
    """Average precision of detections."""

    by_distance: Defined = Field(description="Matched one-to-one within the matching radius.")
    coco_50_95: Defined = Field(description="COCOeval's mean over IoU 0.5 to 0.95; null where boxes were not given.")
    coco_50: Defined = Field(description="COCOeval's at IoU 0.5; null where boxes were not given.")


class FrocPoint(Part):
    """Detections of at least `threshold` in all fields."""

    threshold: float
    sensitivity: Defined
    false_positives_per_mm2: float
    false_positives_per_field: float


class Detected(Part):
    """Detections against labelled figures."""

    threshold: float
    how_chosen: str = Field(description="How the threshold was chosen, and on which data.")
    matching_radius_um: float
    counts: DetectionCounts
    per_slide: list[SlideRow]
    spread: list[SpreadRow]
    figure_free: FigureFree
    average_precision: AveragePrecision
    froc: list[FrocPoint] = Field(description="From the highest threshold down; thinned for drawing.")
    calibration: Calibration


class EvaluationSummary(Part):
    """Everything that was measured of a model or a cascade on one data set."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    title: str
    research_use: str = RESEARCH_USE
    models: list[ModelVersion]
    data: DataDescription
    counts: DataCounts
    detection: Detected | None = Field(description="Null of a model that gives scores of sub-tiles alone.")
    sub_tiles: SubTiles | None = Field(description="Null where sub-tile scores were not given.")
    limits: list[str] = Field(description="What these figures do not show.")
