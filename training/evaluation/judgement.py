"""A judgement across groups as JSON: its classes are its JSON Schema, versioned by `schema_version`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from serving.core.probability import ProbabilityMap
from serving.core.words import RESEARCH_USE
from training.evaluation.summary import Calibration, Defined, Measured, Part, PrecisionRecallPoint

JUDGEMENT_VERSION: Final = "1.0"
"""Minor versions add fields; a major version changes or removes one."""


ModelName = Literal["reg-ns", "det", "verifier"]
MadeBy = Annotated[str, Field(pattern=r"^(recipe [0-9a-f]{12}(\+[0-9a-f]{12})*|weights [0-9a-f]{64})$")]
"""What a model was made by: `recipe` and the digest of each net's recipe, or `weights` and the SHA-256 of a released graph."""


class JudgedCascade(Part):
    """What the folds' files state of the cascades that were judged; nothing where they state nothing."""

    models: list[str] = Field(default=[], description="Which weights those were, in words.")
    screening: float | None = Field(
        default=None, description="Reg-NS score from which a sub-tile was passed on to Det."
    )
    detector_share: float | None = Field(
        default=None, description="Weight of Det's log odds beside the verifier's in the probabilities."
    )
    made_by: dict[ModelName, MadeBy] = Field(default={}, description="The same of all folds, by model.")


class ChosenRow(Part):
    """What was chosen, and on which groups."""

    chosen_on: list[str] = Field(description="Groups.")
    calibration: str = Field(description="Name of the calibration.")
    calibration_map: ProbabilityMap
    threshold_rule: str
    threshold: float = Field(description="Of calibrated probability.")
    count_factor: float = Field(description="Figures over those that candidates show.")
    count_spread: float = Field(
        description="Standard deviation of true over expected counts beyond chance, as a share."
    )


class FoldRow(ChosenRow):
    """One fold: its groups were judged by what was chosen on the others."""

    fold: str
    groups: list[str]


class CountRow(Part):
    """Counts of one slide."""

    slide: str
    group: str
    figures: int
    counted: int = Field(description="Detections of at least the threshold; those of ambiguous objects left out.")
    count_error: Defined = Field(description="Counted over figures, less 1; null without figures.")
    expected: float = Field(description="Sum of calibrated probabilities times the factor.")
    expected_low: float
    expected_high: float
    expected_error: Defined


class GroupRow(Part):
    """One group at the threshold of its fold."""

    group: str
    pictures: int
    area_mm2: float
    figures: int
    true_positives: int
    false_positives: int
    false_negatives: int
    precision: Defined
    recall: Defined
    f1: Defined
    average_precision: Defined
    false_per_mm2: float
    look_alikes: int
    look_alikes_taken: int
    count: CountRow
    slides: list[CountRow]


class F1Point(Part):
    """F1 with every fold's threshold moved."""

    moved: float
    f1: Defined


class Flatness(Part):
    """What a slightly other threshold would have changed."""

    within: float = Field(description="How far thresholds were moved, up and down.")
    largest_change: Defined = Field(description="Of F1, at any threshold within.")
    curve: list[F1Point]


class JudgedSource(Part):
    """The figures of one source, or of all together."""

    name: str
    pictures: int
    area_mm2: float
    figures: int
    ambiguous: int
    look_alikes: int
    f1: Measured
    precision: Measured
    recall: Measured
    average_precision: Measured
    false_per_mm2: Measured
    look_alikes_taken: Measured = Field(description="Share of the marked look-alikes that count as figures.")
    more: dict[str, Measured] = Field(default={}, description="Further metrics that were registered, by name.")
    count_within_quarter: int = Field(description="Groups whose count is within 25 % of their figures.")
    expected_within_quarter: int = Field(description="Groups whose expected count is.")
    expected_covered: int = Field(description="Groups whose figures lie in the interval of the expected count.")
    candidate_recall: Defined = Field(default=None, description="Share of the figures among all detections given.")
    sub_tiles_passed: Defined = Field(
        default=None,
        description="Share of the sub-tiles that were passed on to Det; null where a fold does not state it.",
    )
    groups: list[GroupRow]
    candidates: Calibration = Field(description="Of the calibrated probabilities of all detections given.")
    counted: Calibration = Field(description="Of those of at least the threshold alone.")
    flatness: Flatness
    best_f1: Defined = Field(description="At the one threshold that is best here: not to be stated as a result.")
    precision_recall: list[PrecisionRecallPoint] = Field(description="Thinned for drawing.")

    def measured(self, metric: str) -> Measured:
        """The figure of a registered metric; raises `KeyError` where it was not registered when this was judged."""
        found: Measured = getattr(self, metric) if metric in type(self).model_fields else self.more[metric]
        return found


class Judgement(Part):
    """Cross-validation by group: every figure is of groups in whose training, threshold and calibration it had no part."""

    schema_version: Literal["1.0"] = JUDGEMENT_VERSION
    title: str
    research_use: str = RESEARCH_USE
    matching_radius_um: float
    pooled: JudgedSource
    sources: list[JudgedSource]
    folds: list[FoldRow]
    release: ChosenRow = Field(
        description="The same choice on all groups, for weights trained on all. It is not judged here."
    )
    cascade: JudgedCascade = JudgedCascade()
    limits: list[str] = Field(description="What these figures do not show.")
