"""Tumour, as the role of a model: how likely a window shows any."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.roles.role import MODEL_ROLES, ModelRole, Tensors


@MODEL_ROLES.register("tumour")
class TumourRole(ModelRole):
    """A release may have one. The cascade does not run it."""

    task = "verification"
    inputs: ClassVar[Tensors] = {"windows": ("tensor(uint8)", 4)}
    outputs: ClassVar[Tensors] = {"tumour": ("tensor(float)", 1)}
    tolerances: ClassVar[Mapping[str, float]] = {"tumour": 0.01}

    def shapes(
        self, pictures: tuple[int, ...], stride_px: int, found: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[int, ...]]:
        """A number a window."""
        return {"tumour": (pictures[0],)}
