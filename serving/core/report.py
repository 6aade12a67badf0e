"""The analysis report: its classes are its JSON Schema (`report.schema.json`), versioned by `schema_version`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.core.modelcard import CountCalibration, FigureCount
from serving.core.research_use import RESEARCH_USE

SCHEMA_VERSION = "1.4"
"""Minor versions add fields; a major version changes or removes one."""

Score = Annotated[
    float,
    Field(
        description="Reg-NS score of a sub-tile: expected sum of area fraction times agreement; of a one-stage detector the "
        "highest probability, see `settings.map_shows`"
    ),
]

HotspotShape = Literal["rectangle", "disc"]
"""Of the area in which figures are counted: a rectangle has sides of 4:3."""

QualityUse = Literal["report", "exclude", "off"]
"""Whether what quality control masks is stated, stated and left out of all counts, or not looked for."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlideInfo(_Part):
    """The slide that was analysed."""

    name: str = Field(description="File name as given, without folders.")
    sha256: str = Field(
        description="The slide's id: SHA-256 of the file; of name, size and SHA-256 of each where a slide is several files."
    )
    width: int = Field(description="Level-0 px.")
    height: int = Field(description="Level-0 px.")
    mpp: float = Field(description="Microns per level-0 px that the analysis used.")
    mpp_source: Literal["slide", "override"]
    vendor: str
    bounds: tuple[int, int, int, int] | None = Field(
        None, description="x, y, width, height of what was scanned, level-0 px, where the file states it; since 1.1."
    )
    stored_scale: tuple[float, float] | None = Field(
        None,
        description="Px of the file per level-0 px along x and y, where the file's are not square: the slide was resampled to "
        "square ones, in which all coordinates here are.",
    )

    @property
    def file_px_um(self) -> tuple[float, float]:
        """Microns per px of the file along x and y."""
        across, down = self.stored_scale or (1.0, 1.0)
        return self.mpp / across, self.mpp / down

    @property
    def origin(self) -> tuple[int, int]:
        """(x, y), level-0 px, of what QuPath calls (0, 0): it cuts a slide to its bounds (OpenslideImageServer.java)."""
        return (0, 0) if self.bounds is None else self.bounds[:2]


class ModelInfo(_Part):
    """A model that took part, with the thresholds that were applied."""

    name: str
    version: str
    sha256: str
    thresholds: dict[str, float]


class Counting(_Part):
    """The settings of hotspots and counts: they need no model, and a stored result can be counted again with others."""

    hotspot_area_mm2: float
    hotspot_shape: HotspotShape
    hotspots: int = Field(description="At most so many.")
    hotspot_min_tissue: float = Field(description="Windows with a smaller share of analysed tissue do not compete.")
    field_diameter_mm: float | None = Field(description="Where the area was given as high-power fields.")
    fields: int | None
    profile: str | None = Field(description="Cut-offs that were applied.")
    threshold: float | None = Field(None, description="Probability from which a stored result was counted again.")
    cut_offs: list[int] | None = Field(
        None,
        description="Most figures of each category but the last, where they were stated with the request. Since 1.4.",
    )


class Settings(_Part):
    """The settings that, with slide and models, determine the result."""

    cascade: bool = Field(description="Det ran only on sub-tiles at or above the screening threshold.")
    roi: list[tuple[float, float]] | None = Field(description="Polygon, level-0 px; null for the whole slide.")
    min_tissue_fraction: float = Field(description="Tiles with less tissue are not scored.")
    tile_px: int = Field(description="Tile side in work px.")
    window_px: int = Field(description="Side of a sub-tile of the map, work px.")
    stride_px: int = Field(description="Distance of neighbouring sub-tiles of the map, work px.")
    work_mpp: float = Field(description="Microns per work px.")
    counting: Counting | None = Field(None, description="Since 1.1.")
    qc: QualityUse | None = Field(None, description="What became of areas that quality control masks; since 1.2.")
    map_shows: Literal["screening scores", "highest probabilities"] = Field(
        "screening scores",
        description="What a sub-tile's score is: Reg-NS's, or, of a one-stage detector, the highest probability of a candidate "
        "centred in it, 0 without any. Since 1.4.",
    )

    @property
    def score_name(self) -> str:
        """What a score of the map is called."""
        return "Reg-NS score" if self.map_shows == "screening scores" else "highest probability"


class Tissue(_Part):
    """How tissue was found."""

    method: str
    mask_mpp: float
    area_mm2: float
    tiles_total: int = Field(description="Tiles of the grid that lie in the slide and roi.")
    tiles_scored: int


PublishedReason = Literal["background", "pen", "bubble", "fold", "blur"]
AddedReason = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9-]*$", description="Of a quality check that a package beside Mitoserve adds."),
]


class QualityArea(_Part):
    """How much of the analysed area a reason holds for; a place has one reason at most, so that areas add up."""

    reason: PublishedReason | AddedReason
    area_mm2: float
    tissue_mm2: float = Field(description="Of it, what the tissue mask holds: ink on glass is in it too.")


class Quality(_Part):
    """What of the slide cannot be relied on, by classical rules; since 1.2."""

    methods: dict[str, str] = Field(description="The rule for each reason.")
    areas: list[QualityArea]
    masked_tissue_mm2: float
    unjudged_focus_mm2: float = Field(description="Tissue that was not scored, or shows too little to be sharp.")
    figures_masked: int = Field(description="Mitotic figures of `detections` that are centred in masked areas.")
    figures_dropped: int = Field(description="Mitotic figures that were left out with the masked areas.")


class TileResult(_Part):
    """One scored tile: a grid cell, level-0 px, (x, y) top left."""

    x: int
    y: int
    width: int
    height: int
    tissue_fraction: float
    scores: list[list[Score | None]] = Field(
        description="7 x 7 sub-tiles inside the tile, row by row; null where a sub-tile lies wholly outside the slide."
    )
    max_score: float
    mitotic_count: int


class DetectionResult(_Part):
    """A mitotic figure: level-0 px, (x, y) top left."""

    x: float
    y: float
    width: float
    height: float
    probability: float
    score: Score


class Interval(_Part):
    """A 95 % interval by block bootstrap over tiles: how far the count would differ on like tissue, not its error.

    It is exploratory: it knows nothing of what the models miss or mistake.
    """

    low: float
    high: float
    per_mm2_low: float
    per_mm2_high: float


class ExpectedCount(_Part):
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

    @property
    def words(self) -> str:
        """What the count is from, in a few words."""
        if self.source == "calibrated probabilities":
            return "from calibrated probabilities"
        return f"from Reg-NS scores alone ({'uncalibrated' if self.calibration is None else 'calibrated'})"


class Distribution(_Part):
    """Detected figures in side-by-side windows of the hotspot's area with tissue enough: what the hotspot stands out of."""

    windows: int
    mean: float
    quantiles: list[float] = Field(description="Minimum, quartiles and maximum.")


class CountComponent(_Part):
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


class Counts(_Part):
    """Of the whole analysed area."""

    mitotic_figures: int
    tissue_area_mm2: float
    per_mm2: float | None = Field(description="Null without tissue.")
    interval: Interval | None = Field(None, description="Of the detected count; null for fewer than two tiles.")
    expected: ExpectedCount | None = Field(None, description="Since 1.1.")
    distribution: Distribution | None = Field(None, description="Null where no window fits.")
    component: CountComponent | None = Field(None, description="Of the first hotspot; null without one or a profile.")


class ReviewedWindow(_Part):
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


class Hotspot(_Part):
    """A fixed-area window with the most mitotic figures; level-0 px. The first is the fullest."""

    x: float = Field(description="Of the bounding box.")
    y: float
    width: float
    height: float
    area_mm2: float
    mitotic_figures: int
    per_mm2: float
    shape: HotspotShape = "rectangle"
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


class JudgedObject(_Part):
    """A detection, a candidate or an added figure on which reviewers decided; level-0 px, (x, y) top left."""

    target: str = Field(description="`detection-7` and `candidate-7` of the analysis as it was made, or `added-12`.")
    x: float
    y: float
    width: float
    height: float
    probability: float | None = Field(description="Null of what a reviewer added.")
    label: str = Field(description="What it was called; where most decide, what most of them called it.")
    is_figure: bool


class ReviewedCounts(_Part):
    """The counts after review; what nobody judged counts as the model says."""

    reviewers: list[str] = Field(description="Whose verdicts were heard, by the names that they gave.")
    rule: Literal["one reviewer", "majority"] = Field(
        description="Under `majority`, objects on which as many say yes as no are not decided, and count as the model says."
    )
    last_entry: int = Field(description="Number of the last entry of the record that was heard; 0 for none.")
    accepted: int = Field(description="The model's figures that were accepted.")
    rejected: int = Field(description="The model's figures that were called something else.")
    added: int = Field(description="Figures that were added, or accepted below the threshold.")
    unjudged: int = Field(description="The model's figures without a verdict.")
    counts: Counts
    hotspots: list[Hotspot] = Field(description="Searched among the figures after review.")
    objects: list[JudgedObject]


class Timing(_Part):
    """Seconds; stages overlap, so they add up to more than the wall time when reading hides behind inference."""

    read_s: float
    screen_s: float
    detect_s: float
    post_s: float
    wait_for_read_s: float = Field(description="Time that inference stood still for want of pixels.")
    wall_s: float
    quality_s: float | None = Field(None, description="Quality control; since 1.2.")


class Software(_Part):
    """What ran."""

    name: Literal["mitoserve"] = "mitoserve"
    version: str
    execution_provider: str
    onnxruntime: str
    openslide: str
    started_at: str = Field(description="UTC, ISO 8601.")


class Report(_Part):
    """Result of one analysis.

    Everything but `timing`, `software`, `slide.name`, and what people added beside the result, `review` and `fields`, is
    determined by `analysis_id`.
    """

    schema_version: Literal["1.0", "1.1", "1.2", "1.3", "1.4"] = "1.4"
    analysis_id: str
    slide: SlideInfo
    models: list[ModelInfo]
    settings: Settings
    tissue: Tissue
    quality: Quality | None = Field(None, description="Null where it was not looked for.")
    tiles: list[TileResult]
    detections: list[DetectionResult]
    candidates: list[DetectionResult] = Field(
        default_factory=list,
        description="What the models saw below the threshold, from `candidates_from` up: no figures. Since 1.4.",
    )
    candidates_from: float | None = Field(
        default=None,
        description="The least probability of `candidates`; a stored result can be counted again from it up. Since 1.4.",
    )
    counts: Counts
    hotspots: list[Hotspot]
    fields: list[Hotspot] = Field(default_factory=list, description="Windows at places that were asked for. Since 1.4.")
    review: ReviewedCounts | None = Field(default=None, description="Null where it was not asked for. Since 1.4.")
    warnings: list[str]
    timing: Timing
    software: Software
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE
