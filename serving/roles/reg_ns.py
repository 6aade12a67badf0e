"""Reg-NS, which screens: the score of every sub-tile of a tile."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors

_NOTHING_DETECTED = "a screening model has no probability of a detection to calibrate or to count"


@MODEL_ROLES.register("reg-ns")
class RegNSRole(ModelRole):
    """The first model of the cascade."""

    task = "screening"
    needs = ("screening_threshold",)
    lacks: ClassVar[Mapping[str, str]] = {
        "probability_calibration": _NOTHING_DETECTED,
        "figure_count": _NOTHING_DETECTED,
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
    }
    half_overlap = True
    inputs: ClassVar[Tensors] = {"tiles": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"scores": ("tensor(float)", 3)}
    tolerances: ClassVar[Mapping[str, float]] = {"scores": 0.005}
    any_side = True
    required = True
    in_cascade = True
    rank = 1

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`."""
        count, height, width, _ = pictures
        return {"scores": (count, height // stride_px - 1, width // stride_px - 1)}

    def count_windows(self, pictures: tuple[int, ...], stride_px: int) -> int:
        """See `ModelRole.count_windows`: a tile holds many."""
        count, height, width, _ = pictures
        return count * (height // stride_px - 1) * (width // stride_px - 1)
