"""The size of a slide's pixels, which need not be square."""

import math
import re
from typing import NamedTuple, Self

from serving.core.errors import RequestError

SQUARE_WITHIN = 1.02
"""Longer over shorter side up to which pixels count as square: scanners state both axes to about 0.5 %, and a model trained
with scaling by 12 % sees no difference."""
MAX_STATED_MPP = 10.0
"""Resolution tags that mean print, 72 to 2,400 dots per inch, give 353 to 10.6 um/px: no scanner, so no resolution."""
_BETWEEN = re.compile(r"\s*[,;x]\s*|\s+")
MPP_HELP = "give one number of microns per px, as 0.25, or one for each axis, as 0.25,0.5"


class PixelSize(NamedTuple):
    """Microns per level-0 px along each axis."""

    x: float
    y: float

    @classmethod
    def from_mpp(cls, mpp: "float | tuple[float, float]") -> Self:
        """The size that one number for both axes, or one for each, states."""
        return cls(*mpp) if isinstance(mpp, tuple) else cls(mpp, mpp)

    @property
    def mpp(self) -> float:
        """Side of the square with the same area, um: areas are right by this one number."""
        return self.x if self.x == self.y else math.sqrt(self.x * self.y)

    @property
    def is_square(self) -> bool:
        """Whether both axes agree within `SQUARE_WITHIN`."""
        return max(self) <= SQUARE_WITHIN * min(self)

    @property
    def ratio(self) -> tuple[float, float]:
        """Width and height of a px in sides of the square with the same area."""
        return self.x / self.mpp, self.y / self.mpp

    @property
    def text(self) -> str:
        """The numbers as an option takes them: one where both are the same, else two."""
        return f"{self.x:g}" if self.x == self.y else f"{self.x:g},{self.y:g}"

    def __str__(self) -> str:
        return f"{self.mpp:g} um/px" if self.is_square else f"{self.x:g} x {self.y:g} um/px"


def check_stated_size(x: float, y: float, *, low: float = 0.0, high: float = MAX_STATED_MPP) -> PixelSize | None:
    """What a file states, if both numbers are a microscope's: above `low` and below `high` um."""
    return PixelSize(x, y) if all(math.isfinite(v) and low < v < high for v in (x, y)) else None


def parse_mpp(text: str) -> float | tuple[float, float]:
    """Microns per px as people write them: `0.25`, or `0.25,0.5` (also with `x`, `;` or a space) for each axis.

    Raises
    ------
    RequestError
        If the text is not one or two positive numbers.
    """
    try:
        numbers = [float(part) for part in _BETWEEN.split(text.strip())]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(math.isfinite(n) and n > 0 for n in numbers):
        raise RequestError(f"`mpp` {text[:40]!r} is no positive number of microns per px: {MPP_HELP}")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
