"""Stamps of nuclei: maps of how much haematoxylin and eosin lies where, in optical density."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """What a cell puts on a slide.

    haematoxylin, eosin : float32, shape (S, S), optical density to reach (not to add)
    cover : float32, shape (S, S), 0..1, how far the stamp replaces the tissue under it
    width, height : extent of the nucleus in px, for its box
    """

    haematoxylin: Map
    eosin: Map
    cover: Map
    width: float
    height: float


def vesicular(rng: np.random.Generator) -> Stamp:
    """An interphase tumour nucleus: thin dark membrane, pale grainy inside, one or two nucleoli."""
    long, round_ = rng.uniform(16, 25), rng.uniform(0.65, 0.95)
    side, r = _polar(rng, 72, long, long * round_, wobble=0.07)
    inside = _soft(1 - r, 0.05)
    membrane = np.exp(-(((r - 0.95) / 0.07) ** 2))
    grain = _grain(rng, side, 2.0) * 0.16 + _grain(rng, side, 4.0) * 0.14
    density = inside * (rng.uniform(0.28, 0.5) + grain) + membrane * rng.uniform(0.3, 0.5)
    for _ in range(int(rng.integers(1, 3))):
        density += 0.65 * _blob(rng, side, rng.normal(0, long * 0.3, 2), rng.uniform(2.5, 4.5)) * inside
    return _stamp(density, 0.22 * inside, np.clip(inside + membrane, 0, 1), long * 2, long * round_ * 2)


def spindle(rng: np.random.Generator) -> Stamp:
    """A fibroblast's long thin nucleus, evenly dark."""
    long, thin = rng.uniform(17, 27), rng.uniform(4, 6.5)
    side, r = _polar(rng, 72, long, thin, wobble=0.05)
    inside = _soft(1 - r, 0.16)
    density = inside * (rng.uniform(0.6, 0.9) + 0.15 * _grain(rng, side, 2.0))
    return _stamp(density, 0.3 * inside, inside, long * 2, thin * 2)


def lymphocyte(rng: np.random.Generator) -> Stamp:
    """A small round dark nucleus with visible clumps and a smooth outline."""
    radius = rng.uniform(9.5, 12.5)
    side, r = _polar(rng, 48, radius, radius * rng.uniform(0.88, 1.0), wobble=0.03)
    inside = _soft(1 - r, 0.1)
    density = inside * (rng.uniform(0.75, 0.95) + 0.32 * _grain(rng, side, 2.2))
    return _stamp(density, 0.25 * inside, inside, radius * 2, radius * 2)


def pyknotic(rng: np.random.Generator) -> Stamp:
    """A dying cell: one or two smooth glassy balls in shrunken, strongly pink cytoplasm with a clear rim."""
    side, r = _polar(rng, 64, 17, 15, wobble=0.05)
    cytoplasm = _soft(1 - r, 0.15)
    halo = np.exp(-(((r - 1.25) / 0.22) ** 2))
    ball = _blob(rng, side, (0.0, 0.0), rng.uniform(5.0, 7.5), edge=1.0)
    for _ in range(int(rng.integers(0, 3))):
        ball = np.maximum(ball, _blob(rng, side, rng.normal(0, 7, 2), rng.uniform(2, 3.5), edge=1.0))
    density = ball * rng.uniform(1.15, 1.5) + 0.08 * cytoplasm
    eosin = cytoplasm * 0.75 * (1 - 0.4 * ball)
    return _stamp(density, eosin, np.clip(cytoplasm + 0.45 * halo, 0, 1), 16, 16)


def metaphase(rng: np.random.Generator) -> Stamp:
    """A plate seen from its side: a dense ragged bar across a cleared cell."""
    body = _bar(rng, (0, 0), rng.uniform(14, 19), rng.uniform(4.2, 6.2), ragged=0.8)
    return _dividing(rng, body, 38, 14)


def prometaphase(rng: np.random.Generator) -> Stamp:
    """A clump of chromosomes with arms that stick out."""
    radius = rng.uniform(9, 12)
    body = _bar(rng, (0, 0), radius * rng.uniform(1.0, 1.25), radius * 0.85, ragged=1.5)
    return _dividing(rng, body, radius * 2.2, radius * 2)


def ring(rng: np.random.Generator) -> Stamp:
    """A plate seen from its pole: a ragged ring."""
    body = _bar(rng, (0, 0), 13, 12, ragged=1.2)
    body = body - 0.75 * _bar(rng, (0, 0), 5.5, 5.0, ragged=0.7)
    return _dividing(rng, np.clip(body, 0, 1), 27, 25)


def anaphase(rng: np.random.Generator) -> Stamp:
    """Two parallel ragged bars that draw apart."""
    gap = rng.uniform(8, 13)
    length, thick = rng.uniform(12, 16), rng.uniform(3.4, 4.6)
    body = np.maximum(
        _bar(rng, (0, -gap), length, thick, ragged=0.8), _bar(rng, (0, gap), length * 0.95, thick, ragged=0.8)
    )
    return _dividing(rng, body, 30, gap * 2 + 9)


ORDINARY: tuple[Callable[[np.random.Generator], Stamp], ...] = (vesicular, vesicular, vesicular, vesicular, spindle)
LOOKALIKES: tuple[Callable[[np.random.Generator], Stamp], ...] = (pyknotic, lymphocyte, lymphocyte)
FIGURES: tuple[Callable[[np.random.Generator], Stamp], ...] = (metaphase, metaphase, prometaphase, ring, anaphase)

_SIDE = 88


def _dividing(rng: np.random.Generator, body: Map, width: float, height: float) -> Stamp:
    """Condensed chromatin in a rounded, paler cell without a nuclear membrane."""
    side, r = _polar(rng, _SIDE, rng.uniform(27, 32), rng.uniform(24, 29), wobble=0.05)
    cell = _soft(1 - r, 0.12)
    rim = np.exp(-(((r - 1.0) / 0.06) ** 2))
    chromatin = body * (1.55 + 0.3 * _grain(rng, side, 1.6))
    haematoxylin = cell * (0.13 + 0.05 * _grain(rng, side, 2.5)) + chromatin
    eosin = cell * (0.30 + 0.06 * _grain(rng, side, 3.0)) + 0.12 * rim + 0.25 * body
    return _stamp(haematoxylin, eosin, cell, width, height)


def _bar(
    rng: np.random.Generator, centre: tuple[float, float], half_length: float, half_width: float, *, ragged: float
) -> Map:
    """A dense bar or clump, 0..1, whose outline is torn by noise of `ragged` px."""
    y, x = (np.mgrid[:_SIDE, :_SIDE] - (_SIDE - 1) / 2).astype(np.float32)
    x, y = x - centre[0], y - centre[1]
    bend = rng.normal(0, 0.006)
    y = y - bend * x**2
    distance = (np.hypot(x / half_length, y / half_width) - 1) * min(half_length, half_width)
    torn = distance + ragged * (_grain(rng, _SIDE, 2.0) + 0.7 * _grain(rng, _SIDE, 1.1))
    return np.asarray(np.clip(0.5 - torn / 2.2, 0, 1), np.float32)


def _polar(rng: np.random.Generator, side: int, a: float, b: float, *, wobble: float) -> tuple[int, Map]:
    """Side, and the radius of each pixel, 1 on the outline of a wobbly ellipse."""
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2).astype(np.float32)
    angle = np.arctan2(y / b, x / a)
    outline = 1 + sum(
        wobble / k * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) * rng.normal(0, 1) for k in (2, 3, 4, 5)
    )
    return side, (np.hypot(x / a, y / b) / outline).astype(np.float32)


def _blob(
    rng: np.random.Generator,
    side: int,
    centre: tuple[float, float] | NDArray[np.float64],
    radius: float,
    edge: float = 1.6,
) -> Map:
    y, x = (np.mgrid[:side, :side] - (side - 1) / 2).astype(np.float32)
    distance = np.hypot(x - centre[0], (y - centre[1]) * rng.uniform(0.85, 1.15))
    return np.asarray(np.clip((radius - distance) / edge, 0, 1), np.float32)


def _soft(value: Map, width: float) -> Map:
    return np.asarray(np.clip(value / width, 0, 1), np.float32)


def _grain(rng: np.random.Generator, side: int, sigma: float) -> Map:
    """Smooth noise of unit spread."""
    noise = ndimage.gaussian_filter(rng.normal(size=(side, side)), sigma)
    return np.asarray(noise / noise.std(), np.float32)


def _stamp(haematoxylin: Map, eosin: Map, cover: Map, width: float, height: float) -> Stamp:
    ink = [np.clip(a, 0, None).astype(np.float32) for a in (haematoxylin, eosin, cover)]
    return Stamp(ink[0], ink[1], ink[2], width, height)


@lru_cache(maxsize=4096)
def rotate_stamp(stamp: Stamp, degrees: float) -> Stamp:
    """The stamp rotated about its middle; its extent becomes that of the rotated box."""
    ink = [
        ndimage.rotate(a, degrees, reshape=False, order=1, mode="constant")
        for a in (stamp.haematoxylin, stamp.eosin, stamp.cover)
    ]
    c, s = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    return Stamp(ink[0], ink[1], ink[2], stamp.width * c + stamp.height * s, stamp.width * s + stamp.height * c)
