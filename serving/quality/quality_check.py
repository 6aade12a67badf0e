"""A quality check, and the registry of all: each file of this package, and each plug-in, registers its own."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from serving.plugins import LAST, RankedRegistry
from serving.quality.density import Density
from serving.quality.focus import Structure, find_blur
from serving.quality.parts import Box, Mask

GROUP = "mitoserve.quality_checks"
"""Entry point group of plug-ins: each names a module that adds its checks to `QUALITY_CHECKS` when it is imported."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_TAKEN = ("background", "tissue")
"""What else a picture of the mask says of a place."""


@dataclass(frozen=True, slots=True)
class StructureMap:
    """Where the parts of a `structure` lie: [i, j] starts at (x + j * step, y + i * step), level-0 px."""

    structure: Structure
    x: float
    y: float
    step: float


@dataclass(frozen=True)
class QualityInputs:
    """What a check may look at: the part of a slide that is not glass, by elements of `mpp` um a side.

    pixels : uint8, shape (rows, columns, 3), RGB: the slide's overview, a pixel an element
    density : float32, the same shape
    tissue : bool, shape (rows, columns)
    fill : bool, the same shape: black where nothing was scanned, with what it blends with when densities are averaged
    seen : what was measured at full resolution in scored tiles
    box : where the part lies in the whole, which has elements of `step_x` x `step_y` level-0 px
    """

    pixels: NDArray[np.uint8]
    density: Density
    tissue: Mask
    fill: Mask
    mpp: float
    seen: StructureMap
    box: Box
    step_x: float
    step_y: float

    @cached_property
    def focus(self) -> tuple[Mask, Mask]:
        """Which tissue is out of focus, and whose focus could be judged: bool, shape (rows, columns) each."""
        blurred, judged = find_blur(self.seen.structure)
        return self._on_grid(blurred), self._on_grid(judged)

    def _on_grid(self, parts: Mask) -> Mask:
        """Of each element that is tissue, the part around its centre."""
        places = []
        for size, span, step, start, count in zip(
            self.tissue.shape,
            self.box,
            (self.step_y, self.step_x),
            (self.seen.y, self.seen.x),
            parts.shape,
            strict=True,
        ):
            centres = (np.arange(size) + (span.start or 0) + 0.5) * step
            places.append(((centres - start) / self.seen.step).astype(np.intp).clip(0, count - 1))
        return np.asarray(parts[np.ix_(*places)] & self.tissue, np.bool_)


class QualityCheck(ABC):
    """A reason why places cannot be relied on. It is made anew for each slide, and the same slide gives the same mask."""

    method: ClassVar[str]
    """The rule in a few words, as the report states it."""
    rank: ClassVar[int] = LAST
    """Place among all checks. A place has the reason of the first check that finds it, so that areas add up."""

    @abstractmethod
    def find(self, inputs: QualityInputs, masked: Mask) -> Mask:
        """Where the reason holds: bool, shape (rows, columns) of the inputs.

        A place is judged by what is within 0.2 mm of it: the inputs end there around what is not glass.

        masked : what the checks before found
        """


class QualityCheckRegistry(RankedRegistry[type[QualityCheck]]):
    """Checks by the reason that they give, in the order of their ranks."""

    def add(self, name: str, entry: type[QualityCheck]) -> None:
        """Register a check.

        Raises
        ------
        ValueError
            If the name is taken, or is not of small letters, digits and hyphens.
        """
        if name in _TAKEN or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the reason of a quality check: give small letters, such as air-bubble"
            )
        super().add(name, entry)

    def methods(self) -> dict[str, str]:
        """The rule of each reason, in the order of precedence."""
        return {name: check.method for name, check in self.items()}


QUALITY_CHECKS = QualityCheckRegistry("quality check", "serving.quality", GROUP)
