"""The verifier, which judges each candidate of Det by a window of its own."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors


@MODEL_ROLES.register("verifier")
class VerifierRole(ModelRole):
    """The last model of the cascade, which may go without."""

    task = "verification"
    needs = ("detection_threshold", "candidate_probability")
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"probabilities": ("tensor(float)", 1)}
    tolerances: ClassVar[Mapping[str, float]] = {"probabilities": 0.005}
    in_cascade = True
    rank = 3

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """See `ModelRole.shapes`."""
        return {"probabilities": (pictures[0],)}
