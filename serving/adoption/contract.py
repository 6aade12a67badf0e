"""What somebody states of a detector that was made elsewhere: a YAML file beside its weights."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.core.card_parts import DataSource, DetectionThreshold
from serving.core.errors import RequestError
from serving.core.modelinput import Normalisation
from serving.core.tissue_classes import TissueClass

MOST_BYTES = 1 << 20


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pixels(_Part):
    """How the network takes a picture."""

    layout: Literal["nchw", "nhwc"] = "nchw"
    colours: Literal["rgb", "bgr"] = "rgb"
    normalisation: Normalisation = Normalisation(scale=255, mean=(0, 0, 0), std=(1, 1, 1))


class MapOutput(_Part):
    """A map of probabilities, shape (n, channels, h, w), (n, h, w, channels) or (n, h, w)."""

    form: Literal["map"]
    tensor: str | None = Field(default=None, description="Its name; by default the graph's only output.")
    layout: Literal["nchw", "nhwc"] = "nchw"
    channel: int = Field(default=0, ge=0, description="That of mitotic figures.")
    activation: Literal["none", "sigmoid", "softmax"] = Field(description="What makes probabilities of it.")


class BoxesOutput(_Part):
    """Boxes, shape (n, m, 4), and scores, shape (n, m) or (n, m, classes)."""

    form: Literal["boxes"]
    boxes: str = Field(description="Name of the tensor.")
    scores: str
    corners: Literal["xyxy", "xywh", "cxcywh"] = "xyxy"
    unit: Literal["px", "share"] = Field(default="px", description="Px of the window, or shares of its side.")
    label: int = Field(default=0, ge=0, description="Class of mitotic figures, where scores have classes.")
    activation: Literal["none", "sigmoid", "softmax"] = "none"


class UltralyticsOutput(_Part):
    """One tensor, shape (n, 4 + classes, m): middle x, middle y, width and height in px, then a probability a class."""

    form: Literal["ultralytics"]
    tensor: str | None = Field(default=None, description="Its name; by default the graph's only output.")
    label: int = Field(default=0, ge=0, description="Class of mitotic figures.")


class ClassesOutput(_Part):
    """A map of classes of tissue, shape (n, classes, h, w) or (n, h, w, classes)."""

    form: Literal["classes"]
    tensor: str | None = Field(default=None, description="Its name; by default the graph's only output.")
    layout: Literal["nchw", "nhwc"] = "nchw"
    activation: Literal["none", "sigmoid", "softmax"] = Field(description="What makes probabilities of it.")


class TorchvisionOutput(_Part):
    """A state dict of one of torchvision's detectors."""

    form: Literal["torchvision"]
    builder: str = Field(
        pattern=r"^(retinanet|fcos|fasterrcnn)_[a-z0-9_]+$",
        description="Function of torchvision.models.detection, such as retinanet_resnet50_fpn.",
    )
    classes: int = Field(ge=1, le=1000, description="`num_classes`; of a Faster R-CNN with its background.")
    label: int = Field(default=1, ge=0, description="Class of mitotic figures, as the detector labels boxes.")


class KongNetOutput(_Part):
    """A checkpoint of TIAToolbox's KongNet; by default that of mitotic figures, KongNet_Det_MIDOG_1."""

    form: Literal["kongnet"]
    heads: int = Field(default=1, ge=1, le=100)
    channels: int = Field(default=1, ge=1, le=100, description="Of each head.")
    channel: int = Field(default=0, ge=0, description="That of mitotic figures, counted over all heads.")
    wide: bool = Field(default=False, description="`wide_decoder`.")


Output = Annotated[
    MapOutput | BoxesOutput | UltralyticsOutput | ClassesOutput | TorchvisionOutput | KongNetOutput,
    Field(discriminator="form"),
]
Role = Literal["points", "boxes", "regions"]
_ROLES: dict[str, Role] = {"map": "points", "kongnet": "points", "classes": "regions"}
"""Of a form of output; boxes of the others."""
TORCH = (TorchvisionOutput, KongNetOutput)
"""Forms whose weights need torch to become a graph."""


class AdoptionContract(_Part):
    """How a network is fed, what it gives, and what its card shall state; see `ModelCard` for what is not said here."""

    role: Role = Field(default="boxes", description="By default the role of such an output.")

    version: str = Field(pattern=r"^\d{1,9}(\.\d{1,9}){0,4}$")
    architecture: str = Field(min_length=1)
    licence: str | None = Field(default=None, min_length=1)
    source: str | None = Field(default=None, min_length=1)
    mpp: float = Field(gt=0, le=4)
    window_px: int = Field(gt=0, le=4096)
    overlap_px: int = Field(ge=0)
    batch: int | None = Field(default=None, gt=0)
    pixels: Pixels = Pixels()
    output: Output
    threshold: DetectionThreshold | None = Field(default=None, description="Of a detector.")
    least_probability: float | None = Field(default=None, gt=0, le=1, description="Of a detector.")
    merge_radius_um: float = Field(default=6.0, gt=0)
    nms_iou: float | None = Field(default=0.3, gt=0, lt=1, description="Of boxes; null where the network has done so.")
    peak_distance_um: float = Field(default=6.0, gt=0, description="Of a map.")
    point_box_um: float = Field(
        default=12.5, gt=0, description="Of a map; 50 px at 0.25 um/px, as MIDOG labels figures."
    )
    tissue_classes: list[TissueClass] | None = Field(default=None, description="Of regions: in the order of planes.")
    least_part_mm2: float | None = Field(default=None, ge=0, description="Of regions: smaller parts join others.")
    data: list[DataSource] = Field(default_factory=list)
    limits: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _set_role(cls, stated: Any) -> Any:
        """The role, where it is not stated: that of the form of output."""
        if not isinstance(stated, dict):
            return stated
        output = stated.get("output")
        form = output.get("form") if isinstance(output, dict) else getattr(output, "form", None)
        return {"role": _ROLES.get(str(form), "boxes"), **stated}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.role != (role := _ROLES.get(self.output.form, "boxes")):
            raise ValueError(f"role is {self.role}, and output.form {self.output.form} is of {role}")
        if self.role == "regions":
            if self.threshold is not None or self.least_probability is not None:
                raise ValueError(
                    "threshold and least_probability are of detectors: a regions model states tissue_classes"
                )
            if self.tissue_classes is None:
                raise ValueError("a regions model must state tissue_classes")
            return self
        if self.threshold is None or self.least_probability is None:
            raise ValueError("a detector must state threshold and least_probability")
        if self.tissue_classes is not None or self.least_part_mm2 is not None:
            raise ValueError("tissue_classes and least_part_mm2 are of regions: a detector states a threshold")
        if self.least_probability > self.threshold.probability:
            raise ValueError(
                "least_probability must not be above threshold.probability: it would leave out what counts"
            )
        return self


def read_contract(path: Path) -> AdoptionContract:
    """The contract in a YAML file.

    Raises
    ------
    RequestError
        If it is no YAML, or a field is missing, unknown or wrong; the message names it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RequestError(f"{path} has more than {MOST_BYTES} bytes: it is no contract")
        stated = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{path} is no YAML: {error}") from error
    try:
        return AdoptionContract.model_validate(stated)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'contract'}: {e['msg']}" for e in error.errors())
        raise RequestError(f"{path} states no contract that can be used: {faults}; see docs/detectors.md") from error
