"""The light of empty glass on a slide, and what is no picture at all: the parts that a scanner or converter filled.

Scanners are not all balanced to white, so glass may be tinted, and what a slide shows is dark only in comparison with its
own glass. Glass is flat, bright, and of a colour that stains do not have; of several such colours the brightest that covers
enough is the glass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.quality.density import extremes
from serving.quality.parts import Mask, large_parts

_BLACK, _WHITE = 16, 253
"""Of 255: the largest colour of black fill and the least of white fill, after JPEG."""
_LEAST_FILL_MM2 = 0.002
"""Black that covers less may be a pigment or a dark nucleus."""
_FLAT = 4
"""Grey values by which neighbouring elements of glass differ at most."""
_BRIGHT = 170
"""Least colour of glass: tinted glass seen had (235, 225, 195)."""
_GREEN_EXCESS = 0.15
"""Density by which glass takes more of green than of the colour that it takes next most: eosin takes .6 and more."""
_SLIGHTLY_GREEN = 0.06
_LEAST_SHARE, _LEAST_PINK_SHARE = 0.005, 0.05
"""Of the picture, that glass covers to be told; more where its tint is that of a very pale stain."""
_STEP = 3
"""Grey values of a step in which colours are counted."""
_LEAST_ELEMENTS = 16
_AROUND = 5
"""Steps of colour, each way from the first to the last, that are one colour with noise."""
_SD_OF_MEAN_DEVIATION = 1.2533
"""Standard deviation over mean absolute deviation of a normal distribution, sqrt(pi / 2)."""
DEFAULT_LIGHT = 245.0
"""Of glass that a picture does not show."""
_BAND = 256
"""Rows."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Glass:
    """light : float32, shape (3,), grey values of empty glass; noise : of its density, one standard deviation.

    seen : whether the picture shows any; if not, `light` is white
    """

    light: NDArray[np.float32]
    noise: float
    seen: bool

    def density(self, picture: Picture) -> NDArray[np.float32]:
        """How much light each element takes in the colour that it takes most of, against glass: float32, (rows, columns)."""
        tables = self._tables()
        taken = tables[0][picture[..., 0]]
        for channel in (1, 2):
            np.maximum(taken, tables[channel][picture[..., channel]], out=taken)
        return np.asarray(taken, np.float32)

    def _tables(self) -> NDArray[np.float32]:
        values = np.arange(256, dtype=np.float32)
        return np.asarray(np.log((self.light[:, None] + 1) / (values + 1)), np.float32)


def find_fill(picture: Picture, mpp: float) -> tuple[Mask, Mask]:
    """Where a picture is filled with black, and where with white: bool, shape (rows, columns) each. mpp : um an element."""
    low, high = extremes(picture)
    black = np.asarray(high <= _BLACK, np.bool_)
    return (large_parts(black, _LEAST_FILL_MM2, mpp) if black.any() else black), np.asarray(low >= _WHITE, np.bool_)


def find_glass(picture: Picture, usable: Mask) -> Glass:
    """The glass of a picture. usable : bool, shape (rows, columns): neither filled nor ink."""
    counts = _colours(picture, usable)
    # How many elements are within two steps of each colour.
    covered = np.rint(ndimage.uniform_filter(counts, _AROUND, mode="constant") * _AROUND**3)
    colour = np.minimum(np.arange(len(counts)) * _STEP + (_STEP - 1) / 2, 255.0)
    taken = -np.log((colour + 1) / 256)
    red, green, blue = np.meshgrid(taken, taken, taken, indexing="ij")
    excess = green - np.maximum(red, blue)
    total = picture.shape[0] * picture.shape[1]
    least = np.where(excess <= _SLIGHTLY_GREEN, _LEAST_SHARE, _LEAST_PINK_SHARE) * total
    fits = (counts > 0) & (excess <= _GREEN_EXCESS) & (covered >= np.maximum(least, _LEAST_ELEMENTS))
    if not fits.any():
        return Glass(np.full(3, DEFAULT_LIGHT, np.float32), 0.0, seen=False)
    brightness = sum(np.meshgrid(colour, colour, colour, indexing="ij"))
    brightest = np.unravel_index(int(np.argmax(np.where(fits, brightness, -1))), counts.shape)
    # It lies on the slope of the colours of glass: the commonest of those near it is their middle.
    middle = _commonest(counts, brightest)
    box = _box(middle)
    weights = counts[box]
    parts = [colour[part] for part in box]
    light = np.asarray([(weights.sum(_others(axis)) * parts[axis]).sum() / weights.sum() for axis in range(3)])
    spreads = [np.abs(np.log((light[axis] + 1) / (parts[axis] + 1))) for axis in range(3)]
    spread = np.maximum(np.maximum(spreads[0][:, None, None], spreads[1][None, :, None]), spreads[2][None, None])
    noise = float((weights * spread).sum() / weights.sum()) * _SD_OF_MEAN_DEVIATION
    return Glass(light.astype(np.float32), noise, seen=True)


def _commonest(counts: NDArray[np.float64], at: tuple[np.intp, ...]) -> tuple[np.intp, ...]:
    box = _box(at)
    found = np.unravel_index(int(np.argmax(counts[box])), counts[box].shape)
    return tuple(part.start + np.intp(place) for part, place in zip(box, found, strict=True))


def _box(at: tuple[np.intp, ...]) -> tuple[slice, ...]:
    half = _AROUND // 2
    return tuple(slice(max(int(place) - half, 0), int(place) + half + 1) for place in at)


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _colours(picture: Picture, usable: Mask) -> NDArray[np.float64]:
    """How many flat bright elements have each colour, in steps of `_STEP` of red, green and blue."""
    steps = 256 // _STEP + 1
    counts = np.zeros(steps**3, np.int64)
    for top, band in _bands(picture):
        flat = _flat(band)[: min(_BAND, picture.shape[0] - top)]
        rows = band[: len(flat)]
        held = rows[flat & usable[top : top + len(flat)] & (rows.min(2) >= _BRIGHT)].astype(np.int64) // _STEP
        counts += np.bincount((held[:, 0] * steps + held[:, 1]) * steps + held[:, 2], minlength=steps**3)
    return counts.reshape(steps, steps, steps).astype(np.float64)


def _bands(picture: Picture) -> Iterator[tuple[int, Picture]]:
    """Bands of rows, each with the first row of the next: (first row, band)."""
    for top in range(0, len(picture), _BAND):
        yield top, picture[top : top + _BAND + 1]


def _flat(picture: Picture) -> Mask:
    """Elements that differ little from those right of and below them."""
    wide = picture.astype(np.int16)
    flat = np.ones(picture.shape[:2], np.bool_)
    if picture.shape[1] > 1:
        across = (np.abs(np.diff(wide, axis=1)) <= _FLAT).all(2)
        flat[:, :-1] &= across
        flat[:, 1:] &= across
    if picture.shape[0] > 1:
        down = (np.abs(np.diff(wide, axis=0)) <= _FLAT).all(2)
        flat[:-1] &= down
        flat[1:] &= down
    return flat
