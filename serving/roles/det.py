"""Det, which places boxes in sub-tiles."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors


@MODEL_ROLES.register("det")
class DetRole(ModelRole):
    """The second model of the cascade."""

    task = "detection"
    needs = ("detection_threshold", "nms_iou", "merge_radius_um")
    lacks: ClassVar[Mapping[str, str]] = {
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none"
    }
    half_overlap = True
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {
        "boxes": ("tensor(float)", 3),
        "probabilities": ("tensor(float)", 2),
        "counts": ("tensor(int64)", 1),
    }
    tolerances: ClassVar[Mapping[str, float]] = {"boxes": 0.3, "probabilities": 0.005}
    required = True
    in_cascade = True
    rank = 2

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`; a graph chooses how many boxes a window has at most."""
        count, most = pictures[0], found["probabilities"].shape[1]
        return {"boxes": (count, most, 4), "probabilities": (count, most), "counts": (count,)}
