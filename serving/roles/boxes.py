"""Boxes: a one-stage detector that gives boxes with probabilities."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors


@MODEL_ROLES.register("boxes")
class BoxesRole(ModelRole):
    """A release of its own: the whole of a window in, its figures out; those that overlap are dropped in the graph or here."""

    task = "detection"
    needs = ("detection_threshold", "merge_radius_um", "least_probability")
    lacks: ClassVar[Mapping[str, str]] = {
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
        "peak_distance_um": "peak_distance_um is of a model of points",
        "point_box_um": "point_box_um is of a model of points",
    }
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"boxes": ("tensor(float)", 3), "probabilities": ("tensor(float)", 2)}
    tolerances: ClassVar[Mapping[str, float]] = {"boxes": 0.3, "probabilities": 0.005}
    one_stage = True
    rank = 11

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`; a graph chooses how many boxes a window has, and those that are none have a probability of 0."""
        count, most = pictures[0], found["probabilities"].shape[1]
        return {"boxes": (count, most, 4), "probabilities": (count, most)}
