"""Parts of a report that say what was scored and how: slide, models, settings, tissue, quality, time and software."""

from typing import Annotated, Literal

from pydantic import Field

from serving.core.counts import (
    Counting,
    ReportPart,
)

CascadeMode = Literal["exact", "fast", "off"]
"""Where the models of a cascade look. `exact`: Reg-NS at every sub-tile, Det at those that it passes. `fast`: Reg-NS at those alone
that the light net, triage, chooses. `off`: Det at every sub-tile."""

TRIAGE_NAME = "triage probability"
"""What the light net's probability of a sub-tile is called, at which it alone looked."""

QualityUse = Literal["report", "exclude", "off"]
"""Whether what quality control masks is stated, stated and left out of all counts, or not looked for."""

Colours = Literal["stored", "srgb"]
"""What of a slide's colours the models see: as the file stores them, or in sRGB by its ICC profile."""


class IccProfile(ReportPart):
    """The colour profile of a slide's file."""

    name: str = Field(description="Its own description; empty where it has none.")
    sha256: str
    size: int = Field(description="Bytes.")


class SlideInfo(ReportPart):
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

    icc_profile: IccProfile | None = Field(
        default=None,
        description="Of its colours, where the file has one; `settings.colours` says what it was used for. Since 1.4.",
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


class ModelInfo(ReportPart):
    """A model that took part, with the thresholds that were applied."""

    name: str
    version: str
    sha256: str
    thresholds: dict[str, float]


class Settings(ReportPart):
    """The settings that, with slide and models, determine the result."""

    cascade: bool = Field(description="Det ran only on sub-tiles at or above the screening threshold.")
    cascade_mode: CascadeMode | None = Field(
        default=None,
        description="Where models looked. `exact`: Reg-NS at every sub-tile, Det at those that it passes; `fast`: Reg-NS at those "
        "alone that the light net, triage, chooses; `off`: Det at every sub-tile. Since 1.4.",
    )
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

    colours: Colours = Field(
        default="stored",
        description="What the models saw: `stored`, the file's own colours; `srgb`, these in sRGB by the slide's ICC profile, "
        "where it has one. Since 1.4.",
    )

    @property
    def score_name(self) -> str:
        """What a score of the map is called."""
        return "Reg-NS score" if self.map_shows == "screening scores" else "highest probability"


class Tissue(ReportPart):
    """How tissue was found."""

    method: str
    mask_mpp: float
    area_mm2: float
    tiles_total: int = Field(description="Tiles of the grid that lie in the slide and roi.")
    tiles_scored: int
    sub_tiles: int | None = Field(
        default=None, description="Of the scored tiles, those that show the slide. Since 1.4."
    )
    sub_tiles_screened: int | None = Field(
        default=None,
        description="Of `sub_tiles`, those at which Reg-NS looked: in a fast analysis few, without those of second looks at doubtful candidates. "
        "Since 1.4.",
    )


PublishedReason = Literal["background", "pen", "bubble", "fold", "blur"]

AddedReason = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9-]*$", description="Of a quality check that a package beside Mitoserve adds."),
]


class QualityArea(ReportPart):
    """How much of the analysed area a reason holds for; a place has one reason at most, so that areas add up."""

    reason: PublishedReason | AddedReason
    area_mm2: float
    tissue_mm2: float = Field(description="Of it, what the tissue mask holds: ink on glass is in it too.")


class Quality(ReportPart):
    """What of the slide cannot be relied on, by classical rules; since 1.2."""

    methods: dict[str, str] = Field(description="The rule for each reason.")
    areas: list[QualityArea]
    masked_tissue_mm2: float
    unjudged_focus_mm2: float = Field(description="Tissue that was not scored, or shows too little to be sharp.")
    figures_masked: int = Field(description="Mitotic figures of `detections` that are centred in masked areas.")
    figures_dropped: int = Field(description="Mitotic figures that were left out with the masked areas.")


class Timing(ReportPart):
    """Seconds; stages overlap, so they add up to more than the wall time when reading hides behind inference.

    Where several tiles are computed at once, a stage is the sum over their threads.
    """

    read_s: float
    screen_s: float
    detect_s: float
    post_s: float
    wait_for_read_s: float = Field(description="Time that inference stood still for want of pixels.")
    wall_s: float
    quality_s: float | None = Field(None, description="Quality control; since 1.2.")
    verify_s: float | None = Field(
        default=None,
        description="Of `detect_s`, the verifier with reading its windows, where there is one, and second looks of a fast analysis: they come after "
        "all tiles, by themselves. Since 1.4.",
    )
    triage_s: float | None = Field(default=None, description="The light net, of a fast analysis; since 1.4.")
    atypia_s: float | None = Field(default=None, description="The atypia model, where there is one; since 1.4.")
    regions_s: float | None = Field(default=None, description="The regions model, where there is one; since 1.4.")
    detectors_s: dict[str, float] | None = Field(
        default=None,
        description="Of an ensemble, what each detector took with its reading: they run one after the other. Since 1.4.",
    )


class Software(ReportPart):
    """What ran."""

    name: Literal["mitoserve"] = "mitoserve"
    version: str
    execution_provider: str
    onnxruntime: str
    openslide: str
    started_at: str = Field(description="UTC, ISO 8601.")
