"""What a report says of counts: hotspots, expected counts and intervals, and the counts after review."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.core.card_parts import CountCalibration, FigureCount

HotspotShape = Literal["rectangle", "disc", "fields"]
"""Of the area in which figures are counted: a rectangle has sides of 4:3, and fields are squares that touch by their sides."""

Bound = Literal["tissue", "roi", "within", "exclude", "regions model", "quality mask"]
"""What a count may be limited by: regions that people stated, or those of a regions model, and others."""

RegionsBy = Literal["people", "model"]
"""Whose regions bound a count."""

ReviewRule = Literal["one reviewer", "majority", "consensus"]
"""How verdicts decide: those of one reviewer, of most, or what two readers agreed on, with what they decided of the rest."""


class ReportPart(BaseModel):
    """A part of the report: it does not change, and has no fields but those of its schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NamedOutline(ReportPart):
    """Polygons under one name, level-0 px."""

    name: str = Field(description="Classification or name that the region had.")
    polygons: list[list[list[tuple[float, float]]]] = Field(
        description="As the coordinates of GeoJSON's MultiPolygon: of each polygon its ring, then those of its holes."
    )


class Counting(ReportPart):
    """The settings of hotspots and counts: they need no model, and a stored result can be counted again with others."""

    hotspot_area_mm2: float
    hotspot_shape: HotspotShape
    hotspots: int = Field(description="At most so many.")
    hotspot_min_tissue: float = Field(description="Windows with a smaller share of analysed tissue do not compete.")
    field_diameter_mm: float | None = Field(description="Where the area was given as high-power fields.")
    fields: int | None = Field(
        description="Where the area was given as high-power fields, or is that of connected ones."
    )
    profile: str | None = Field(description="Cut-offs that were applied.")
    threshold: float | None = Field(None, description="Probability from which a stored result was counted again.")
    cut_offs: list[int] | None = Field(
        None,
        description="Most figures of each category but the last, where they were stated with the request. Since 1.4.",
    )
    within: list[NamedOutline] | None = Field(
        None, description="Regions that are counted in; null for all of the analysed tissue. Since 1.4."
    )
    exclude: list[NamedOutline] | None = Field(None, description="Regions that are left out; null for none. Since 1.4.")
    regions_sha256: str | None = Field(
        None, description="Of `within` and `exclude`, as JSON with sorted keys; null without any. Since 1.4."
    )
    regions_by: RegionsBy | None = Field(
        default=None,
        description="Of a result with a `regions` model, who stated `within` and `exclude`: the model, or people, who may have asked to "
        "count everywhere. Null without such a model. Since 1.4.",
    )


class AtypicalCount(ReportPart):
    """Of the mitotic figures that count, the atypical ones: from the threshold of `atypia` up."""

    figures: int
    of: int = Field(
        description="Figures that count and that the atypia model saw: all but those that a reviewer added."
    )
    share: float | None = Field(description="`figures` of `of`; null where the model saw none.")


class Interval(ReportPart):
    """A 95 % interval by block bootstrap over tiles: how far the count would differ on like tissue, not its error.

    It is exploratory: it knows nothing of what the models miss or mistake.
    """

    low: float
    high: float
    per_mm2_low: float
    per_mm2_high: float


class ExpectedCount(ReportPart):
    """The count to expect of scores or probabilities; apart from the detected count, never mixed with it."""

    mitotic_figures: float
    per_mm2: float | None
    interval: Interval | None = Field(
        description="Of scores: between tiles, null for fewer than two. Of probabilities: of the number of figures."
    )
    calibration: CountCalibration | None = Field(description="The model card's table; null where it has none.")
    note: str
    source: Literal["screening scores", "calibrated probabilities"] = Field(
        default="screening scores",
        description="Reg-NS scores of all sub-tiles, by coverage weights and without boxes; or the probabilities of all "
        "candidates, where the card of the model that speaks last states how to count them. Since 1.3.",
    )
    figure_count: FigureCount | None = Field(
        default=None, description="How the model card counts probabilities; null where the source is scores. Since 1.3."
    )
    below_threshold: list[tuple[float, float, float]] = Field(
        default_factory=list,
        description="x, y (level-0 px) and probability of candidates that do not count as figures and are expected to be some "
        "of them in part; empty where the source is scores. Since 1.3.",
    )
    outside: list[tuple[float, float, float]] = Field(
        default_factory=list,
        description="The same of candidates outside the regions that are counted in: they add nothing. Since 1.4.",
    )

    @property
    def words(self) -> str:
        """What the count is from, in a few words."""
        if self.source == "calibrated probabilities":
            return "from calibrated probabilities"
        return f"from Reg-NS scores alone ({'uncalibrated' if self.calibration is None else 'calibrated'})"


class Distribution(ReportPart):
    """Detected figures in side-by-side windows of the hotspot's area with tissue enough: what the hotspot stands out of."""

    windows: int
    mean: float
    quantiles: list[float] = Field(description="Minimum, quartiles and maximum.")


class CountComponent(ReportPart):
    """A mitotic-count component estimate by published cut-offs. It is never a grade."""

    profile: str
    title: str
    source: str
    count: int
    area_mm2: float
    field_diameter_mm: float = Field(description="Of ten fields of that area.")
    estimate: str | None = Field(description="Null where the cut-offs do not apply; `reason` says why.")
    reason: str | None = None
    cut_offs: list[int] = Field(default_factory=list, description="Most figures for each label but the last.")
    to_next: int | None = Field(None, description="So many figures more give the next label.")
    to_previous: int | None = Field(None, description="So many figures fewer give the label before.")


class Counts(ReportPart):
    """Of the whole analysed area or, where regions were given, of what they leave of it."""

    mitotic_figures: int
    tissue_area_mm2: float = Field(description="Of the tissue that was counted in.")
    bounded_by: list[Bound] = Field(
        default=["tissue"],
        description="What limits the area and the figures: `within` and `exclude` are the regions of `settings.counting`, "
        "`regions model` where the model stated them. Since 1.4.",
    )
    per_mm2: float | None = Field(description="Null without tissue.")
    interval: Interval | None = Field(None, description="Of the detected count; null for fewer than two tiles.")
    expected: ExpectedCount | None = Field(None, description="Since 1.1.")
    distribution: Distribution | None = Field(None, description="Null where no window fits.")
    component: CountComponent | None = Field(None, description="Of the first hotspot; null without one or a profile.")
    atypical: AtypicalCount | None = Field(default=None, description="Null without an atypia model. Since 1.4.")


class ReviewedWindow(ReportPart):
    """A window as reviewers count it."""

    mitotic_figures: int = Field(
        description="The model's without those that were rejected, with those that were added."
    )
    per_mm2: float
    judged: int = Field(description="Of the model's figures in the window, those that have a verdict.")
    expected_figures: float | None = Field(
        None, description="Figures of a verdict count 1 or 0, candidates without one as `counts.expected` counts them."
    )
    expected_interval: tuple[float, float] | None = Field(
        default=None, description="Of 95 %, from candidates without a verdict."
    )
    component: CountComponent | None = None
    atypical: AtypicalCount | None = None


class Hotspot(ReportPart):
    """A fixed-area window with the most mitotic figures; level-0 px. The first is the fullest."""

    x: float = Field(description="Of the bounding box.")
    y: float
    width: float
    height: float
    area_mm2: float
    mitotic_figures: int
    per_mm2: float
    shape: HotspotShape = "rectangle"
    parts: list[tuple[float, float, float, float]] | None = Field(
        default=None,
        description="Of connected fields, x, y, width and height of each, level-0 px; the window is what they cover of the bounding box. "
        "Null of other shapes. Since 1.4.",
    )
    exact: bool | None = Field(
        default=None,
        description="Of connected fields, whether no others of the same grids hold more, or the search was cut short. Since 1.4.",
    )
    tissue_fraction: float | None = Field(None, description="Share of analysed tissue in the window.")
    expected_figures: float | None = Field(
        None, description="As `counts.expected`: of sub-tiles or candidates centred in it."
    )
    expected_interval: tuple[float, float] | None = Field(
        default=None, description="Of 95 %, as of `counts.expected`; null where that is of scores. Since 1.4."
    )
    chosen_for: Literal["model", "review", "request"] | None = Field(
        default=None,
        description="The window is the fullest of the model's figures, of those after review, or was asked for. Since 1.4.",
    )
    component: CountComponent | None = Field(
        default=None, description="Of the model's count in this window. Since 1.4."
    )
    reviewed: ReviewedWindow | None = Field(
        default=None, description="Null where the review was not asked for. Since 1.4."
    )
    atypical: AtypicalCount | None = Field(default=None, description="Of the model's figures in it. Since 1.4.")
    readings: list[ReviewedWindow] = Field(
        default_factory=list,
        description="As each of two readers counts it, in the order of the report's `readings`, where `reviewed` is their "
        "consensus. Since 1.4.",
    )


class JudgedObject(ReportPart):
    """A detection, a candidate or an added figure on which reviewers decided; level-0 px, (x, y) top left."""

    target: str = Field(description="`detection-7` and `candidate-7` of the analysis as it was made, or `added-12`.")
    x: float
    y: float
    width: float
    height: float
    probability: float | None = Field(description="Null of what a reviewer added.")
    label: str = Field(description="What it was called; where most decide, what most of them called it.")
    is_figure: bool


class ReviewedCounts(ReportPart):
    """The counts after review; what nobody judged counts as the model says."""

    reviewers: list[str] = Field(description="Whose verdicts were heard, by the names that they gave.")
    rule: ReviewRule = Field(
        description="Under `majority`, objects on which as many say yes as no are not decided, and count as the model says; under "
        "`consensus`, those on which two readers differ and on which nothing was decided."
    )
    last_entry: int = Field(description="Number of the last entry of the record that was heard; 0 for none.")
    last_at: str | None = Field(
        default=None, description="When that was recorded: UTC, ISO 8601; null for none. Since 1.4."
    )
    accepted: int = Field(description="The model's figures that were accepted.")
    rejected: int = Field(description="The model's figures that were called something else.")
    added: int = Field(description="Figures that were added, or accepted below the threshold.")
    unjudged: int = Field(description="The model's figures without a verdict.")
    counts: Counts
    hotspots: list[Hotspot] = Field(description="Searched among the figures after review.")
    objects: list[JudgedObject]


class ReadingCounts(ReportPart):
    """What one of two readers counts, beside the model and the consensus; since 1.4."""

    reader: str = Field(description="Whose key was shown.")
    reviewer: str = Field(description="What the reader is called.")
    finished_at: str = Field(description="When the reading ended: UTC, ISO 8601.")
    review: ReviewedCounts = Field(description="The counts by this reader's verdicts alone.")


class ReadingAgreement(ReportPart):
    """How far two readers agree on which objects are mitotic figures; since 1.4."""

    judged_by_both: int
    agreed: int = Field(description="Of `judged_by_both`, those that both call a figure, or both do not.")
    kappa: float | None = Field(
        description="Cohen's, of what both judged: (p_o - p_e) / (1 - p_e), Educational and Psychological Measurement "
        "1960;20:37-46. Null where it is not defined: nothing was judged by both, or both said the same of everything."
    )
    disagreements: int = Field(
        description="Objects that count for one reader alone; what a reader did not judge counts as the model says."
    )
    undecided: int = Field(description="Of `disagreements`, those without a consensus: they count as the model says.")


class Signature(ReportPart):
    """Who signed the counts of a report, and whether they are still those that were signed; since 1.4."""

    number: int
    at: str = Field(description="UTC, ISO 8601.")
    author: str = Field(description="Whose key was shown.")
    name: str = Field(description="As the key or the login states it; empty where neither does.")
    reviewer: str = Field(description="What the person calls themselves.")
    sha256: str = Field(
        description="Of what was signed: analysis, way of counting, regions, verdicts and all counts, as JSON with sorted keys."
    )
    current: bool = Field(
        description="Whether the counts are those that were signed; verdicts or regions may have changed."
    )
