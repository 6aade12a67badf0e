"""The analysis report: its classes are its JSON Schema (`report.schema.json`), versioned by `schema_version`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.wsi.modelcard import RESEARCH_USE

SCHEMA_VERSION = "1.0"
"""Minor versions add fields; a major version changes or removes one."""

Score = Annotated[float, Field(description="Reg-NS score of a sub-tile: expected sum of area fraction times agreement")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlideInfo(_Part):
    """The slide that was analysed."""

    name: str = Field(description="File name as given, without folders.")
    sha256: str = Field(description="Of the file; of all file names and contents where a slide is a folder.")
    width: int = Field(description="Level-0 px.")
    height: int = Field(description="Level-0 px.")
    mpp: float = Field(description="Microns per level-0 px that the analysis used.")
    mpp_source: Literal["slide", "override"]
    vendor: str


class ModelInfo(_Part):
    """A model that took part, with the thresholds that were applied."""

    name: str
    version: str
    sha256: str
    thresholds: dict[str, float]


class Settings(_Part):
    """The settings that, with slide and models, determine the result."""

    cascade: bool = Field(description="Det ran only on sub-tiles at or above the screening threshold.")
    roi: list[tuple[float, float]] | None = Field(description="Polygon, level-0 px; null for the whole slide.")
    min_tissue_fraction: float = Field(description="Tiles with less tissue are not scored.")
    tile_px: int = Field(description="Tile side in work px.")
    window_px: int
    stride_px: int
    work_mpp: float = Field(description="Microns per work px.")


class Tissue(_Part):
    """How tissue was found."""

    method: str
    mask_mpp: float
    area_mm2: float
    tiles_total: int = Field(description="Tiles of the grid that lie in the slide and roi.")
    tiles_scored: int


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


class Counts(_Part):
    """Of the whole analysed area."""

    mitotic_figures: int
    tissue_area_mm2: float
    per_mm2: float | None = Field(description="Null without tissue.")


class Hotspot(_Part):
    """The fixed-area window that holds the most mitotic figures; level-0 px."""

    x: float
    y: float
    width: float
    height: float
    area_mm2: float
    mitotic_figures: int
    per_mm2: float


class Timing(_Part):
    """Seconds; stages overlap, so they add up to more than the wall time when reading hides behind inference."""

    read_s: float
    screen_s: float
    detect_s: float
    post_s: float
    wait_for_read_s: float = Field(description="Time that inference stood still for want of pixels.")
    wall_s: float


class Software(_Part):
    """What ran."""

    name: Literal["mitoserve"] = "mitoserve"
    version: str
    execution_provider: str
    onnxruntime: str
    openslide: str
    started_at: str = Field(description="UTC, ISO 8601.")


class Report(_Part):
    """Result of one analysis. Everything but `timing`, `software` and `slide.name` is determined by `analysis_id`."""

    schema_version: Literal["1.0"] = "1.0"
    analysis_id: str
    slide: SlideInfo
    models: list[ModelInfo]
    settings: Settings
    tissue: Tissue
    tiles: list[TileResult]
    detections: list[DetectionResult]
    counts: Counts
    hotspots: list[Hotspot]
    warnings: list[str]
    timing: Timing
    software: Software
    research_use: Literal["For Research Use Only. Not for use in diagnostic procedures."] = RESEARCH_USE
