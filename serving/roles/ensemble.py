"""Ensemble: how the probabilities of the other detectors of a release become one."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors

_SEES_NOTHING = "an ensemble sees no pixels: its detectors state this on cards of their own"


@MODEL_ROLES.register("ensemble")
class EnsembleRole(ModelRole):
    """What makes a release of several detectors: it has weights of fusion and no graph, and speaks last."""

    task = "fusion"
    needs = ("fusion", "detection_threshold")
    lacks: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "screening_threshold",
                "candidate_probability",
                "least_probability",
                "nms_iou",
                "merge_radius_um",
                "peak_distance_um",
                "point_box_um",
                "count_calibration",
            ),
            _SEES_NOTHING,
        ),
        "detector_share": "detector_share is a verifier's: an ensemble states the weight of each detector",
    }
    inputs: ClassVar[Tensors] = {}
    outputs: ClassVar[Tensors] = {}
    tolerances: ClassVar[Mapping[str, float]] = {}
    has_graph = False
    fuses = True
    rank = 15

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`; there is no graph that gives anything."""
        return {}
