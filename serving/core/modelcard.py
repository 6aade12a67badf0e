"""The card beside every set of weights: what the model is, what it needs, what was measured. It is checked on load."""

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.core.errors import ModelError
from serving.core.probability import ProbabilityMap
from serving.roles.role import MODEL_ROLES, Task

CARD_SCHEMA_VERSION = "1.0"

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Shares = Annotated[list[float], Field(min_length=2)]
Colour = tuple[float, float, float]
"""Optical density of red, green and blue, of length 1."""
TILE_BLOCKS = 8
"""Blocks along a side of a tile: the map of a one-stage detector has as many places a tile as that of a cascade."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Normalisation(_Strict):
    """What the graph makes of a pixel before the network sees it: (value / scale - mean) / std, of each channel."""

    scale: float = Field(gt=0, allow_inf_nan=False, description="255 brings bytes to 0..1.")
    mean: Colour = Field(description="Of red, green and blue.")
    std: Colour = Field(description="Of red, green and blue; none is 0.")

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise ValueError("mean and std must be finite, and std above 0")
        return self


class ModelInput(_Strict):
    """What the graph is fed."""

    window_px: int = Field(gt=0, description="Side of a window, of a cascade's sub-tile, in work px (paper: 250).")
    stride_px: int = Field(
        gt=0,
        description="Distance of neighbouring windows in work px (paper: 125); a verifier, which sees one window a "
        "candidate and no lattice, states its window's side.",
    )
    overlap_px: int | None = Field(
        default=None,
        ge=0,
        description="Of a one-stage detector: px that neighbouring windows share, window_px - stride_px. A figure that a seam "
        "cuts lies whole in one of them where it is no larger than that.",
    )
    normalisation: Normalisation | None = Field(
        default=None, description="What the graph does to pixels first; null where nobody stated it."
    )
    batch: int | None = Field(
        default=None,
        gt=0,
        le=4096,
        description="Of a one-stage detector: windows that it is given at once; by default what suits the machine. A graph "
        "whose first axis is fixed states that number here.",
    )
    mpp: float = Field(gt=0, description="Microns per px that the model was trained at.")
    layout: str = Field(description="Name, dtype, axes and colour order of the input tensor.")
    whole_tile: bool = Field(
        default=False,
        description="The sub-tiles of a tile share its features, so a tile must be given whole; else a sub-tile's score "
        "depends on its own pixels alone.",
    )


class ScreeningThreshold(_Strict):
    """The Reg-NS score from which a sub-tile is passed on to Det."""

    score: float
    how_chosen: str
    data: str
    achieved: str


class DetectionThreshold(_Strict):
    """From which probability a detection is a mitotic figure: Det's after merging; on a verifier's card, the joint one."""

    probability: float = Field(ge=0, le=1)
    how_chosen: str
    data: str
    achieved: str


class CountCalibration(_Strict):
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


class ProbabilityCalibration(_Strict):
    """What makes the probability of the model that speaks last the share of such detections that are figures."""

    map: ProbabilityMap
    how_chosen: str
    data: str
    achieved: str


class FigureCount(_Strict):
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


class StainReference(_Strict):
    """The direction of a stain in optical density."""

    colour: Colour = Field(description="Mean over slides, of length 1.")
    spread_deg: float = Field(ge=0, description="Root mean square angle of the slides' own to it; 0 of one slide.")


class DriftReference(_Strict):
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


class DataSource(_Strict):
    """One data set that the weights saw."""

    name: str
    use: str
    licence: str


class SlideFigures(_Strict):
    """Measured on one slide that the evaluated weights had not seen."""

    slide: str
    true_figures: int
    precision: float
    recall: float
    f1: float


class ModelCard(_Strict):
    """Everything that serving and a reader need to know about a model.

    The detection threshold, the NMS overlap inside a sub-tile and the radius that merges duplicates across sub-tiles
    are three separate numbers.
    """

    schema_version: Literal["1.0"]
    name: str
    version: str
    task: Task
    architecture: str
    input: ModelInput
    output: str
    weights: str = Field(description="How the weights are stored, and the drift that it costs.")
    parameters: int = Field(gt=0)
    screening_threshold: ScreeningThreshold | None = None
    detection_threshold: DetectionThreshold | None = None
    nms_iou: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Overlap above which Det, or a model of boxes, drops the weaker box of a window; null where the graph of a "
        "model of boxes has done so.",
    )
    merge_radius_um: float | None = Field(default=None, gt=0, description="Centres nearer than this are one figure.")
    candidate_probability: float | None = Field(
        default=None, ge=0, le=1, description="Det's merged probability from which a verifier judges a box."
    )
    detector_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of a verifier: weight of Det's log odds in the joint probability, the rest being the verifier's; one half "
        "where it is not stated.",
    )
    least_probability: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Of a one-stage detector: from which probability a peak or a box of a window is a candidate.",
    )
    peak_distance_um: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Of a model of points: peaks of its map are no nearer to each other than this.",
    )
    point_box_um: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Of a model of points: side of the box that is drawn around each.",
    )
    count_calibration: CountCalibration | None = Field(
        default=None, description="Of a screening model: what makes scores an expected count."
    )
    probability_calibration: ProbabilityCalibration | None = Field(
        default=None,
        description="Of the model that speaks last, a verifier or a Det without one: applied to its probability, before "
        "detection_threshold, which is of the calibrated one.",
    )
    figure_count: FigureCount | None = Field(
        default=None, description="Of the model that speaks last: what makes its probabilities an expected count."
    )
    drift_reference: DriftReference | None = Field(
        default=None, description="Of a screening model: what slides are like that it was judged on."
    )
    licence: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Licence of the weights, as SPDX names it, such as CC-BY-4.0; null where nobody stated it.",
    )
    source: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="Where the weights are from: who made them, and an address.",
    )
    data: list[DataSource]
    evaluation: str = Field(description="Protocol of the figures below.")
    per_slide: list[SlideFigures]
    figures: dict[str, float | str] = Field(description="Further measured figures by name, unit in the name.")
    limits: list[str]
    research_use: str
    files: dict[FileName, Sha256] = Field(description="SHA-256 of every file of the version, by file name.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """A number that serving needs is stated: none has a default that would be right for another model."""
        role = MODEL_ROLES.find(self.name, self.task)
        if missing := [name for name in role.needs if getattr(self, name) is None]:
            raise ValueError(f"a {self.task} model must state {', '.join(missing)}")
        if stated := [why for name, why in role.lacks.items() if getattr(self, name) is not None]:
            raise ValueError(stated[0])
        if role.half_overlap and self.input.window_px != 2 * self.input.stride_px:
            raise ValueError("window_px must be twice stride_px: sub-tiles overlap by half")
        self._check_windows(one_stage=role.one_stage)
        if "model.onnx" not in self.files:
            raise ValueError("files must name model.onnx")
        return self

    def _check_windows(self, *, one_stage: bool) -> None:
        """The windows of a one-stage detector fit tiles of whole blocks; no other model states an overlap."""
        overlap, window, stride = self.input.overlap_px, self.input.window_px, self.input.stride_px
        if not one_stage:
            if overlap is not None:
                raise ValueError(
                    f"overlap_px is a one-stage detector's: a {self.task} model called {self.name} states none"
                )
            return
        if overlap is None or stride != window - overlap:
            raise ValueError("a one-stage detector must state overlap_px, and stride_px is window_px - overlap_px")
        if 2 * overlap > window:
            raise ValueError("overlap_px is at most half of window_px")
        if stride % TILE_BLOCKS:
            raise ValueError(
                f"window_px - overlap_px must be a multiple of {TILE_BLOCKS}: tiles have {TILE_BLOCKS} blocks a side"
            )

    def sha256(self) -> str:
        """Hash of the weights, which is the identity of the model in reports."""
        return self.files["model.onnx"]


def load_card(folder: Path) -> ModelCard:
    """The validated card in `folder`, after every file it names was found with the checksum it states.

    Raises
    ------
    ModelError
        If the card or a file is missing, the card does not validate, or a checksum differs.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise ModelError(f"no model card at {path}; set MITOSIS_MODELS to a folder of <name>/<version>/card.json")
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelError(f"{path} is not a valid model card: {error}") from error
    for name, expected in card.files.items():
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{file} is missing; the card names it")
        with file.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
        if found != expected:
            raise ModelError(
                f"{file} has SHA-256 {found[:12]}..., its card states {expected[:12]}...; restore the file"
            )
    return card
