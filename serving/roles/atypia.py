"""Atypia, which says of each mitotic figure how likely it is an atypical one."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors

_FINDS_NOTHING = "an atypia model finds no figures: it states atypical_threshold"


@MODEL_ROLES.register("atypia")
class AtypiaRole(ModelRole):
    """The model beside a detector, of either kind, that a release may go without: it sees what the detector found."""

    task = "classification"
    needs = ("atypical_threshold",)
    lacks: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("screening_threshold", "detection_threshold", "candidate_probability"), _FINDS_NOTHING),
        "figure_count": "figure_count is of the model whose probability is that of a figure",
        "detector_share": "detector_share is a verifier's: another model's probability is joined with none",
    }
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"probabilities": ("tensor(float)", 1)}
    tolerances: ClassVar[Mapping[str, float]] = {"probabilities": 0.005}
    beside = True
    rank = 20

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`."""
        return {"probabilities": (pictures[0],)}
