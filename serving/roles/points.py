"""Points: a one-stage detector that gives a map of probabilities, whose peaks are figures."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors


@MODEL_ROLES.register("points")
class PointsRole(ModelRole):
    """A release of its own: the whole of a window in, how likely each place of it shows the middle of a figure out."""

    task = "detection"
    needs = ("detection_threshold", "merge_radius_um", "least_probability", "peak_distance_um", "point_box_um")
    lacks: ClassVar[Mapping[str, str]] = {
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
        "nms_iou": "nms_iou is of boxes: peaks are told apart by peak_distance_um",
    }
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"probabilities": ("tensor(float)", 3)}
    tolerances: ClassVar[Mapping[str, float]] = {"probabilities": 0.005}
    one_stage = True
    rank = 10

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`; a map may be coarser than the window by a whole factor."""
        count, height, width, _ = pictures
        rows = found["probabilities"].shape[1]
        factor = max(height // max(rows, 1), 1)
        return {"probabilities": (count, height // factor, width // factor)}
