"""The card beside every set of weights: what the model is, what it needs, what was measured. It is checked on load."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from serving.core.card_parts import (
    AtypicalThreshold,
    CardPart,
    CountCalibration,
    DataSource,
    DetectionThreshold,
    DriftReference,
    FigureCount,
    FileName,
    ProbabilityCalibration,
    ScreeningThreshold,
    SlideFigures,
    TriageThreshold,
    VerifierViews,
)
from serving.core.errors import ModelError
from serving.core.fusion import Fusion
from serving.core.modelinput import ModelInput
from serving.core.tissue_classes import TissueClass, check_classes
from serving.core.validation import describe_problem
from serving.roles.role import MODEL_ROLES, Task

CARD_SCHEMA_VERSION = "1.0"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TILE_BLOCKS = 8
"""Blocks along a side of a tile: the map of a one-stage detector has as many places a tile as that of a cascade."""


class ModelCard(CardPart):
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
    triage_threshold: TriageThreshold | None = None
    screening_threshold: ScreeningThreshold | None = None
    detection_threshold: DetectionThreshold | None = None
    atypical_threshold: AtypicalThreshold | None = None
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
    views: VerifierViews | None = Field(
        default=None, description="Of a verifier; null where its graph itself turns and mirrors what it is given."
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
    tissue_classes: list[TissueClass] | None = Field(
        default=None,
        min_length=2,
        max_length=50,
        description="Of a regions model: the classes of its planes, in their order; a place has the likeliest one.",
    )
    least_part_mm2: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Of a regions model: a connected part of a class that is smaller becomes what lies beside it.",
    )
    count_calibration: CountCalibration | None = Field(
        default=None, description="Of a screening model: what makes scores an expected count."
    )
    probability_calibration: ProbabilityCalibration | None = Field(
        default=None,
        description="Of the model that speaks last, a verifier or a Det without one: applied to its probability, before "
        "detection_threshold, which is of the calibrated one. Of an atypia model: the same of its own, before atypical_threshold.",
    )
    fusion: Fusion | None = Field(
        default=None,
        description="Of an ensemble: its detectors, their weights, and how their probabilities become one.",
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
        if role.side_by_side and self.input.window_px != self.input.stride_px:
            raise ValueError(f"window_px must be stride_px: the cells of a {self.task} model touch and do not overlap")
        self._check_windows(one_stage=role.one_stage, overlaps=role.overlaps)
        self._check_classes(segments=role.task == "segmentation")
        if role.has_graph != ("model.onnx" in self.files):
            raise ValueError(
                "files must name model.onnx" if role.has_graph else f"a {self.task} model has no model.onnx"
            )
        if self.fusion is not None and not role.fuses:
            raise ValueError(f"fusion is an ensemble's: a {self.task} model called {self.name} states none")
        if self.views is not None and self.task != "verification":
            raise ValueError(f"views are a verifier's: a {self.task} model called {self.name} states none")
        return self

    def _check_classes(self, *, segments: bool) -> None:
        """Classes are a regions model's, and say where figures count."""
        classes = self.tissue_classes
        if not segments:
            if classes is not None or self.least_part_mm2 is not None:
                raise ValueError(
                    "tissue_classes and least_part_mm2 are a regions model's: "
                    f"a {self.task} model called {self.name} states none"
                )
            return
        check_classes(classes or [])

    def _check_windows(self, *, one_stage: bool, overlaps: bool) -> None:
        """The windows of a one-stage detector fit tiles of whole blocks; other models but those of regions state no overlap."""
        overlap, window, stride = self.input.overlap_px, self.input.window_px, self.input.stride_px
        if not (one_stage or overlaps):
            if overlap is not None:
                raise ValueError(
                    f"overlap_px is a one-stage detector's: a {self.task} model called {self.name} states none"
                )
            return
        if overlap is None or stride != window - overlap:
            raise ValueError(
                f"a {'one-stage detector' if one_stage else 'regions model'} must state overlap_px, and stride_px is "
                "window_px - overlap_px"
            )
        if 2 * overlap > window:
            raise ValueError("overlap_px is at most half of window_px")
        if one_stage and stride % TILE_BLOCKS:
            raise ValueError(
                f"window_px - overlap_px must be a multiple of {TILE_BLOCKS}: tiles have {TILE_BLOCKS} blocks a side"
            )

    def sha256(self) -> str:
        """Hash of the weights, which is the identity of the model in reports; of an ensemble, of all that fuses."""
        if self.fusion is None:
            return self.files["model.onnx"]
        calibration = self.probability_calibration
        stated = [
            self.fusion.model_dump(mode="json"),
            None if calibration is None else calibration.model_dump(mode="json"),
        ]
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


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
        raise ModelError(f"{path} is not a valid model card: {describe_problem(error, otherwise='card')}") from error
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
