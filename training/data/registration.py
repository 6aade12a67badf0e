"""Where two pictures of one patient show the same tissue: masked normalised cross-correlation (Padfield, 2012).

Scanners differ in resolution, colour and origin, and hardly in rotation, so a shift at a common resolution is looked for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from serving.datasets.store import Picture
from serving.slides.slide import Slide

STEP_UM = 2.0
"""A pixel of what is correlated: finer than half the radius within which objects are one, and coarse enough to be quick."""
LEAST_CORRELATION = 0.6
"""On the MITOS contests' slides 03 and 04 pictures that overlap have .80 to .90, all others at most .34."""
LEAST_OVERLAP_MM2 = 0.01
_BLANK = 1e-6

Grey = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """How positions in one picture become positions in another, and what the two have in common.

    x, y : um, the second picture's origin in the frame of the first. mpp : um/px of both
    """

    x: float
    y: float
    mpp: tuple[float, float]
    correlation: float
    overlap_mm2: float

    def to_second(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (x, y), shape (N, 2), px of the first picture -> px of the second."""
        return np.asarray((points * self.mpp[0] - (self.x, self.y)) / self.mpp[1], np.float64)

    def to_first(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points (x, y), shape (N, 2), px of the second picture -> px of the first."""
        return np.asarray((points * self.mpp[1] + (self.x, self.y)) / self.mpp[0], np.float64)


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """A picture as it is correlated: grey, `STEP_UM` a pixel, shape (height, width). mpp : of the picture itself."""

    grey: Grey
    mpp: float


def read_blurred(slide: Slide, picture: Picture) -> GreyPicture:
    """Read a picture for registration.

    Raises
    ------
    ValueError
        If it states no resolution.
    """
    if picture.mpp is None:
        raise ValueError(f"picture {picture.id} states no resolution, so it cannot be compared with others")
    side = max(picture.width, picture.height) * picture.mpp / STEP_UM
    return GreyPicture(slide.thumbnail(max(round(side), 1)).mean(-1), picture.mpp)


def find_shift(first: GreyPicture, second: GreyPicture) -> Shift | None:
    """The shift with the highest correlation of two pictures, None where they have no tissue in common."""
    least = LEAST_OVERLAP_MM2 * (1000 / STEP_UM) ** 2
    correlation, cells = _correlations(first.grey, second.grey)
    correlation = np.where(cells >= least, correlation, -1.0)
    row, column = np.unravel_index(int(correlation.argmax()), correlation.shape)
    highest = float(correlation[row, column])
    if highest < LEAST_CORRELATION:
        return None
    return Shift(
        x=float(column - second.grey.shape[1] + 1) * STEP_UM,
        y=float(row - second.grey.shape[0] + 1) * STEP_UM,
        mpp=(first.mpp, second.mpp),
        correlation=highest,
        overlap_mm2=float(cells[row, column]) * (STEP_UM / 1000) ** 2,
    )


def _correlations(first: Grey, second: Grey) -> tuple[Grey, Grey]:
    """Pearson's correlation at every shift of `second` over `first`, and in how many pixels both lie.

    -> float64, shape (h1 + h2 - 1, w1 + w2 - 1); index (i, j) is the shift (i - h2 + 1, j - w2 + 1)
    """
    shape = (first.shape[0] + second.shape[0] - 1, first.shape[1] + second.shape[1] - 1)
    fast = tuple(next_fast_len(n, real=True) for n in shape)
    a, b = first - first.mean(), (second - second.mean())[::-1, ::-1]

    def spectrum(values: Grey) -> NDArray[np.complex128]:
        return np.asarray(rfft2(values, fast))

    def back(values: NDArray[np.complex128]) -> Grey:
        return np.asarray(irfft2(values, fast))[: shape[0], : shape[1]]

    ones_a, ones_b = spectrum(np.ones_like(a)), spectrum(np.ones_like(b))
    of_a, of_b = spectrum(a), spectrum(b)
    cells = np.maximum(back(ones_a * ones_b).round(), 1)
    sum_a, sum_b = back(of_a * ones_b), back(ones_a * of_b)
    covariance = back(of_a * of_b) - sum_a * sum_b / cells
    var_a = back(spectrum(a * a) * ones_b) - sum_a**2 / cells
    var_b = back(ones_a * spectrum(b * b)) - sum_b**2 / cells
    # Blank glass has no variance: rounding errors must not make a correlation of it.
    floor = _BLANK * max(float((a * a).sum()), float((b * b).sum()), 1.0)
    usable = (var_a > floor) & (var_b > floor)
    product = np.sqrt(np.where(usable, var_a * var_b, 1.0))
    return np.where(usable, covariance / product, -1.0), cells
