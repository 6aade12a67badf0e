"""A field of generated tissue."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.synthetic.cells import FIGURES, LOOKALIKES, ORDINARY, Stamp, turned

NUCLEI_PER_MM2 = 2600.0
"""A cellular carcinoma at 40x."""
SPACING_PX = 70.0
"""Least distance of figures and look-alikes from each other: none hides another."""
EDGE_PX = 48
"""Figures and look-alikes keep this far from a field's edge and are whole."""
LIBRARY = 24
"""Stamps drawn of each kind; fields reuse them turned by any angle."""
# Optical density per channel of one unit of stain (after Ruifrok and Johnston, 2001), bluer as in current scanners.
_HAEMATOXYLIN = np.asarray([0.72, 0.62, 0.30], np.float32)
_EOSIN = np.asarray([0.10, 0.78, 0.34], np.float32)


@dataclass(frozen=True, slots=True)
class SyntheticField:
    """pixels : uint8, shape (height, width, 3). mitotic_figures, lookalikes : float32, shape (N, 4), xyxy, px."""

    pixels: NDArray[np.uint8]
    mitotic_figures: NDArray[np.float32]
    lookalikes: NDArray[np.float32]


def generate_field(
    *,
    seed: int,
    width: int,
    height: int,
    mitoses_per_mm2: float = 30.0,
    lookalikes_per_mm2: float = 30.0,
    mpp: float = 0.25,
) -> SyntheticField:
    """Tissue of `width` x `height` px at `mpp` um/px; the same arguments give the same pixels."""
    rng = np.random.default_rng([seed, width, height])
    area = width * height * (mpp / 1000) ** 2
    haematoxylin, eosin = _stroma(rng, width, height)
    marked = _spots(rng, width, height, area, (mitoses_per_mm2, lookalikes_per_mm2))
    library = [_library(rng, kinds) for kinds in (ORDINARY, FIGURES, LOOKALIKES)]
    for x, y in _scattered(rng, width, height, round(NUCLEI_PER_MM2 * area)):
        if all((np.hypot(*(spots - (x, y)).T) > SPACING_PX * 0.62).all() for spots in marked):
            _press(haematoxylin, eosin, _pick(rng, library[0]), x, y)
    boxes = []
    for spots, stamps in zip(marked, library[1:], strict=True):
        pressed = [(x, y, _pick(rng, stamps)) for x, y in spots]
        for x, y, stamp in pressed:
            _press(haematoxylin, eosin, stamp, x, y)
        rows = [(x - s.width / 2, y - s.height / 2, x + s.width / 2, y + s.height / 2) for x, y, s in pressed]
        boxes.append(np.asarray(rows, np.float32).reshape(-1, 4))
    return SyntheticField(_photographed(rng, haematoxylin, eosin), boxes[0], boxes[1])


def _stroma(rng: np.random.Generator, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cytoplasm and fibres: (haematoxylin, eosin), float32, shape (height, width)."""
    shape = (height, width)
    fine, mid, coarse = (_noise(rng, shape, sigma) for sigma in (1.2, 5.0, 28.0))
    fibres = np.abs(_noise(rng, shape, (2.0, 14.0)))
    eosin = 0.34 + 0.05 * fine + 0.06 * mid + 0.08 * coarse + 0.07 * fibres
    haematoxylin = 0.13 + 0.03 * fine + 0.03 * mid + 0.04 * coarse
    return np.clip(haematoxylin, 0, None).astype(np.float32), np.clip(eosin, 0.05, None).astype(np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float | tuple[float, float]) -> NDArray[np.float32]:
    """Smooth noise of unit spread; coarse noise is made small and enlarged."""
    sigmas = np.broadcast_to(sigma, 2).astype(float)
    shrink = max(int(sigmas.min() // 2), 1)
    small = tuple(-(-n // shrink) + 2 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(small, np.float32), sigmas / shrink)
    if shrink > 1:
        noise = ndimage.zoom(noise, shrink, order=1)
    noise = noise[: shape[0], : shape[1]]
    return (noise / noise.std()).astype(np.float32)


def _spots(
    rng: np.random.Generator, width: int, height: int, area: float, densities: Sequence[float]
) -> list[NDArray[np.float64]]:
    """Places of each kind, float64, shape (N, 2), (x, y), all at least `SPACING_PX` apart."""
    taken: list[NDArray[np.float64]] = []
    result = []
    for density in densities:
        wanted, mine = int(rng.poisson(density * area)), []
        for _ in range(wanted * 20):
            if len(mine) == wanted or min(width, height) <= 2 * EDGE_PX:
                break
            spot = rng.uniform((EDGE_PX, EDGE_PX), (width - EDGE_PX, height - EDGE_PX))
            if all(np.hypot(*(spot - other)) >= SPACING_PX for other in taken):
                taken.append(spot)
                mine.append(spot)
        result.append(np.asarray(mine, np.float64).reshape(-1, 2))
    return result


def _scattered(rng: np.random.Generator, width: int, height: int, count: int) -> NDArray[np.float64]:
    """Places of ordinary nuclei: jittered cells of a grid, which keeps them from piling up."""
    pitch = np.sqrt(width * height / max(count, 1))
    y, x = np.mgrid[-pitch : height + pitch : pitch, -pitch : width + pitch : pitch]
    places = np.stack([x.ravel(), y.ravel()], 1)
    places += rng.uniform(-0.38 * pitch, 0.38 * pitch, places.shape)
    return places[rng.random(len(places)) < 0.9]


def _library(rng: np.random.Generator, kinds: Sequence[Callable[[np.random.Generator], Stamp]]) -> list[Stamp]:
    return [kinds[i % len(kinds)](rng) for i in range(LIBRARY)]


def _pick(rng: np.random.Generator, stamps: Sequence[Stamp]) -> Stamp:
    return turned(stamps[rng.integers(len(stamps))], float(rng.uniform(0, 360)))


def _press(haematoxylin: NDArray[np.float32], eosin: NDArray[np.float32], stamp: Stamp, x: float, y: float) -> None:
    """Put a stamp, centred at (x, y), on both stains, cut at the field's edges."""
    side = stamp.cover.shape[0]
    left, top = round(x - (side - 1) / 2), round(y - (side - 1) / 2)
    rows = slice(max(top, 0), min(top + side, haematoxylin.shape[0]))
    columns = slice(max(left, 0), min(left + side, haematoxylin.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    kept = 1 - stamp.cover[part]
    for canvas, ink in ((haematoxylin, stamp.haematoxylin), (eosin, stamp.eosin)):
        canvas[rows, columns] = canvas[rows, columns] * kept + ink[part]


def _photographed(
    rng: np.random.Generator, haematoxylin: NDArray[np.float32], eosin: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Stains to RGB by Beer and Lambert's law, through a slightly soft lens and a noisy sensor."""
    strength = rng.uniform(0.9, 1.15, 2)
    blue, pink = (v + rng.normal(0, 0.02, 3).astype(np.float32) for v in (_HAEMATOXYLIN, _EOSIN))
    density = strength[0] * haematoxylin[..., None] * blue + strength[1] * eosin[..., None] * pink
    light = 245.0 * np.exp(-1.25 * density)
    light = ndimage.gaussian_filter(light, (0.7, 0.7, 0)) + rng.standard_normal(light.shape, np.float32) * 2.0
    return np.clip(light, 0, 255).astype(np.uint8)
