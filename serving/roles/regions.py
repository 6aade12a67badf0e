"""Regions: a segmentation model, whose classes of tissue say where figures are counted."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors

_FINDS_NOTHING = "a regions model finds no figures: it states tissue_classes"


@MODEL_ROLES.register("regions")
class RegionsRole(ModelRole):
    """The model beside a detector, of either kind, that a release may go without: it says where what was found counts."""

    task = "segmentation"
    needs = ("tissue_classes",)
    lacks: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(
            (
                "screening_threshold",
                "detection_threshold",
                "atypical_threshold",
                "candidate_probability",
                "least_probability",
                "probability_calibration",
                "figure_count",
                "nms_iou",
                "merge_radius_um",
                "peak_distance_um",
                "point_box_um",
            ),
            _FINDS_NOTHING,
        ),
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
    }
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"probabilities": ("tensor(float)", 4)}
    tolerances: ClassVar[Mapping[str, float]] = {"probabilities": 0.005}
    beside = True
    overlaps = True
    rank = 21

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`; a plane for each class, coarser than the window by a whole factor."""
        count, height, width, _ = pictures
        classes, rows = found["probabilities"].shape[1:3]
        factor = max(height // max(rows, 1), 1)
        return {"probabilities": (count, classes, height // factor, width // factor)}
