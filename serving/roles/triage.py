"""Triage, the light net that looks first and says where Reg-NS and Det look at all."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors

_NOTHING_DETECTED = "a triage model has no probability of a detection to calibrate or to count"


@MODEL_ROLES.register("triage")
class TriageRole(ModelRole):
    """The model before the cascade, which may go without: it runs where an analysis asks for `cascade` fast."""

    task = "triage"
    needs = ("triage_threshold",)
    lacks: ClassVar[Mapping[str, str]] = {
        "screening_threshold": "screening_threshold is of Reg-NS's scores: a triage model states triage_threshold",
        "probability_calibration": _NOTHING_DETECTED,
        "figure_count": _NOTHING_DETECTED,
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
    }
    side_by_side = True
    inputs: ClassVar[Tensors] = {"tiles": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"probabilities": ("tensor(float)", 3)}
    tolerances: ClassVar[Mapping[str, float]] = {"probabilities": 0.005}
    any_side = True
    in_cascade = True
    rank = 0

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`."""
        count, height, width, _ = pictures
        return {"probabilities": (count, height // stride_px, width // stride_px)}

    def count_windows(self, pictures: tuple[int, ...], stride_px: int) -> int:
        """See `ModelRole.count_windows`: a tile holds many cells."""
        count, height, width, _ = pictures
        return count * (height // stride_px) * (width // stride_px)
