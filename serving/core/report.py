"""The analysis report: its classes are its JSON Schema (`report.schema.json`), versioned by `schema_version`."""

from typing import Annotated, Literal

from pydantic import Field

from serving.core.counts import (
    Counts,
    Hotspot,
    NamedOutline,
    ReadingAgreement,
    ReadingCounts,
    ReportPart,
    ReviewedCounts,
    Signature,
)
from serving.core.fusion import FusionMethod
from serving.core.report_parts import TRIAGE_NAME, ModelInfo, Quality, Settings, SlideInfo, Software, Timing, Tissue
from serving.core.tissue_classes import TissueUse
from serving.core.words import RESEARCH_USE

SCHEMA_VERSION = "1.4"
"""Minor versions add fields; a major version changes or removes one."""

ATYPICAL = "atypical"
"""Name of the threshold of `Report.atypia`."""

Score = Annotated[
    float,
    Field(
        description="Reg-NS score of a sub-tile: expected sum of area fraction times agreement; of a one-stage detector the "
        "highest probability, see `settings.map_shows`"
    ),
]


class TileResult(ReportPart):
    """One scored tile: a grid cell, level-0 px, (x, y) top left."""

    x: int
    y: int
    width: int
    height: int
    tissue_fraction: float
    scores: list[list[Score | None]] = Field(
        description="7 x 7 sub-tiles inside the tile, row by row; null where a sub-tile lies wholly outside the slide, or where "
        "Reg-NS did not look because `triage` is below the threshold."
    )
    triage: list[list[float | None]] | None = Field(
        default=None,
        description="Of a fast analysis: where the light net alone looked, its probability that the centre of a mitotic figure "
        "lies in the middle of the sub-tile; null elsewhere. It is no Reg-NS score. Since 1.4.",
    )
    max_score: float = Field(description="Of `scores`; 0 where all of them are null.")
    mitotic_count: int


class DetectionResult(ReportPart):
    """A mitotic figure: level-0 px, (x, y) top left."""

    x: float
    y: float
    width: float
    height: float
    probability: float
    score: Score
    atypical_probability: float | None = Field(
        default=None,
        description="That the figure is an atypical one, if it is a figure; null without an atypia model. Since 1.4.",
    )
    detectors: dict[str, float] | None = Field(
        default=None,
        description="Of an ensemble, the detectors that found it, each with its own calibrated probability; null of one detector. "
        "Since 1.4.",
    )


class EnsembleMember(ReportPart):
    """A detector of an ensemble."""

    name: str = Field(description="As `detectors` of a detection names it.")
    models: list[str] = Field(description="Its models, as `models` names them, with their versions: det@1.2.0.")
    weight: float = Field(description="Share of its word, all together 1.")
    floor: float = Field(description="What its silence counts as, where it looked and found nothing.")
    mpp: float = Field(description="Microns per px that its first model sees.")


class EnsembleInfo(ReportPart):
    """Several detectors whose probabilities became one: the last of `models` states how they were calibrated and count."""

    method: FusionMethod
    distance_um: float = Field(description="What different detectors found within it is one figure.")
    detectors: list[EnsembleMember] = Field(description="The first gave the map, its tiles and its scores.")


class SegmentedClass(ReportPart):
    """A class of tissue as a regions model places it."""

    name: str
    use: TissueUse = Field(
        description="`within`: counted in; `exclude`: left out; `shown`: counts do not depend on it."
    )
    area_mm2: float = Field(description="Of analysed tissue in it.")
    outlines: list[NamedOutline] = Field(description="All of it in one, level-0 px; empty where there is none.")


class SegmentedRegions(ReportPart):
    """What a regions model says of the slide, and where figures count unless people state other regions."""

    model: ModelInfo
    mask_mpp: float = Field(description="Microns per side of an element of its map, along whose edges outlines run.")
    classes: list[SegmentedClass] = Field(description="In the order of the model's card.")

    def list_outlines(self, use: TissueUse) -> list[NamedOutline] | None:
        """The outlines of all classes of a use; None where no class has it."""
        classes = [one for one in self.classes if one.use == use]
        return [outline for one in classes for outline in one.outlines] if classes else None


class Report(ReportPart):
    """Result of one analysis.

    Everything but `timing`, `software`, `slide.name`, and what people added beside the result, `review`, `readings`, `agreement`,
    `signatures` and `fields`, is determined by `analysis_id`.
    """

    schema_version: Literal["1.0", "1.1", "1.2", "1.3", "1.4"] = "1.4"
    analysis_id: str
    slide: SlideInfo
    models: list[ModelInfo]
    atypia: ModelInfo | None = Field(
        default=None,
        description="The model that says which mitotic figures are atypical, with its threshold `atypical`; null without one. "
        "Since 1.4.",
    )
    regions: SegmentedRegions | None = Field(
        default=None,
        description="What the model says that tells tissue to count in from other tissue; null without one. Since 1.4.",
    )
    ensemble: EnsembleInfo | None = Field(
        default=None, description="How several detectors became one; null of one detector. Since 1.4."
    )
    settings: Settings
    tissue: Tissue
    quality: Quality | None = Field(None, description="Null where it was not looked for.")
    tiles: list[TileResult]
    detections: list[DetectionResult]
    candidates: list[DetectionResult] = Field(
        default_factory=list,
        description="What the models saw below the threshold, from `candidates_from` up: no figures. Since 1.4.",
    )
    outside: list[DetectionResult] = Field(
        default_factory=list,
        description="What would count but for the regions of `settings.counting`: no figures. Since 1.4.",
    )
    candidates_from: float | None = Field(
        default=None,
        description="The least probability of `candidates`; a stored result can be counted again from it up. Since 1.4.",
    )
    counts: Counts
    hotspots: list[Hotspot]
    fields: list[Hotspot] = Field(default_factory=list, description="Windows at places that were asked for. Since 1.4.")
    review: ReviewedCounts | None = Field(default=None, description="Null where it was not asked for. Since 1.4.")
    readings: list[ReadingCounts] = Field(
        default_factory=list,
        description="Of both readers, where `review` is their consensus: every number stands four times. Since 1.4.",
    )
    agreement: ReadingAgreement | None = Field(
        default=None, description="Of both readers; null where `review` is no consensus. Since 1.4."
    )
    signatures: list[Signature] = Field(
        default_factory=list, description="Of reports that were counted in the same way, the last first. Since 1.4."
    )
    warnings: list[str]
    timing: Timing
    software: Software
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE

    @property
    def triage_words(self) -> str | None:
        """Where a fast analysis looked, in a few words; None of others."""
        if self.settings.cascade_mode != "fast":
            return None
        seen = f"{self.tissue.sub_tiles_screened} of {self.tissue.sub_tiles} sub-tiles"
        return f"fast: Reg-NS looked at {seen}, which triage chose; the others show the {TRIAGE_NAME}"

    @property
    def map_model(self) -> ModelInfo:
        """The model that gives the map's scores: Reg-NS, or a one-stage detector; triage gives none."""
        return next(model for model in self.models if "triage" not in model.thresholds)

    @property
    def used_models(self) -> list[ModelInfo]:
        """All models that took part: those that found the figures, then those that say which are atypical and where they count."""
        return [
            *self.models,
            *([] if self.atypia is None else [self.atypia]),
            *([] if self.regions is None else [self.regions.model]),
        ]

    @property
    def atypical_threshold(self) -> float | None:
        """The probability from which a figure is atypical; None without an atypia model."""
        return None if self.atypia is None else self.atypia.thresholds[ATYPICAL]
