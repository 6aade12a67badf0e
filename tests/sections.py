"""Sections on glass of many kinds, drawn with the truth beside them, for what tells tissue from glass."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.scoring.tissue import tissue_in
from serving.synthetic.field import generate_field

SIDE = 1024
"""Px of a drawn slide; at `MPP` it is 2 mm wide."""
MPP = 2.0
_FIELD_PX = 1536
_WHITE = (245, 245, 245)
_INKS = {"blue": (2.4, 1.4, 0.13), "green": (1.9, 0.5, 1.3), "black": (2.4, 2.4, 2.4)}
"""Optical densities."""

Light = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Section:
    """pixels : uint8, shape (SIDE, SIDE, 3). truth : bool, shape (SIDE, SIDE), where tissue is"""

    pixels: NDArray[np.uint8]
    truth: Mask


@dataclass(frozen=True, slots=True)
class Kind:
    """How a slide is drawn.

    strengths : of the stain of each section, 1 for the generator's own
    after : what is laid on the light of the slide, given the truth
    """

    glass: tuple[int, int, int] = _WHITE
    strengths: tuple[float, ...] = (1.0,)
    noise: float = 0.8
    after: tuple[Callable[[Light, Mask, np.random.Generator], Light], ...] = ()


@cache
def _densities() -> tuple[Light, ...]:
    """Stained tissue at `MPP`, as optical density."""
    fields = []
    for seed in range(2):
        pixels = generate_field(seed=seed, width=2 * _FIELD_PX // 3, height=2 * _FIELD_PX // 3).pixels.astype(
            np.float32
        )
        small = pixels.reshape(len(pixels) // 4, 4, len(pixels) // 4, 4, 3).mean((1, 3))
        times = -(-SIDE // len(small))
        fields.append(-np.log((np.tile(small, (times, times, 1))[:SIDE, :SIDE] + 1) / 247))
    return tuple(fields)


def draw(kind: Kind, seed: int) -> Section:
    """A slide of a kind; the same for the same seed."""
    rng = np.random.default_rng([seed, 7])
    light = np.broadcast_to(np.asarray(kind.glass, np.float32), (SIDE, SIDE, 3)).copy()
    truth = np.zeros((SIDE, SIDE), np.bool_)
    for number, strength in enumerate(kind.strengths):
        shape = _blob(rng, number, len(kind.strengths))
        thickness = strength * ndimage.gaussian_filter(shape.astype(np.float32), 1.5)
        light *= np.exp(-thickness[..., None] * _densities()[number % 2])
        truth |= shape
    light += rng.normal(0, kind.noise, light.shape).astype(np.float32)
    for change in kind.after:
        light = change(light, truth, rng)
    return Section(np.rint(light.clip(0, 255)).astype(np.uint8), truth)


def agreement(section: Section) -> tuple[float, float]:
    """Found tissue over true tissue, and their intersection over their union; what is filled is no tissue."""
    found = tissue_in(section.pixels, SIDE, SIDE, MPP, None).tissue
    places = ((np.arange(len(found)) + 0.5) * SIDE / len(found)).astype(np.intp)
    shown = section.pixels[np.ix_(places, places)]
    truth = section.truth[np.ix_(places, places)] & (shown.max(2) > 0) & (shown.min(2) < 255)
    return float(found.sum() / truth.sum()), float((found & truth).sum() / (found | truth).sum())


def _blob(rng: np.random.Generator, number: int, of: int) -> Mask:
    """An island with a lobed outline in its own part of the slide."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    middle = SIDE * (number + 0.5) / of, SIDE * rng.uniform(0.4, 0.6)
    angle = np.arctan2(y - middle[1], x - middle[0])
    lobes = sum(rng.uniform(0.02, 0.08) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    radius = SIDE * rng.uniform(0.2, 0.28) / of**0.5 * (1 + lobes)
    return np.asarray(np.hypot(x - middle[0], y - middle[1]) < radius, np.bool_)


def pen(ink: str, *, on_tissue: bool = False) -> Callable[[Light, Mask, np.random.Generator], Light]:
    """A stroke beside the tissue, or across it."""

    def mark(light: Light, truth: Mask, rng: np.random.Generator) -> Light:
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        middle = SIDE * (rng.uniform(0.4, 0.6) if on_tissue else rng.uniform(0.06, 0.09))
        far = np.abs(x - middle - 30 * np.sin(y / 150))
        inside = np.clip((45 - far) / 3, 0, 1)[..., None]
        return np.asarray(light * np.exp(-inside * np.asarray(_INKS[ink], np.float32)), np.float32)

    return mark


def fill(value: int, *, around: bool = False) -> Callable[[Light, Mask, np.random.Generator], Light]:
    """A stripe that was not scanned; or all around the tissue."""

    def filled(light: Light, truth: Mask, rng: np.random.Generator) -> Light:
        light = light.copy()
        if around:
            light[~truth] = value
        else:
            light[:, : round(SIDE * rng.uniform(0.08, 0.15))] = value
            light[: round(SIDE * 0.1)] = value
        return light

    return filled


def shade(depth: float) -> Callable[[Light, Mask, np.random.Generator], Light]:
    """Light that falls off to the corners."""

    def shaded(light: Light, truth: Mask, rng: np.random.Generator) -> Light:
        y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)
        return np.asarray(light * (1 - depth * (x**2 + y**2) / 2)[..., None], np.float32)

    return shaded


def dust(light: Light, truth: Mask, rng: np.random.Generator) -> Light:
    """Grey specks of 20 to 40 um."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for _ in range(25):
        at = rng.uniform(0, SIDE, 2)
        light = light * (1 - 0.5 * np.clip(rng.uniform(5, 10) - np.hypot(x - at[0], y - at[1]), 0, 1))[..., None]
    return np.asarray(light, np.float32)


KINDS: dict[str, Kind] = {
    "white glass": Kind(),
    "grey glass": Kind(glass=(215, 215, 215)),
    "yellow glass": Kind(glass=(235, 225, 195)),
    "blue glass": Kind(glass=(210, 222, 245)),
    "pink glass": Kind(glass=(243, 226, 236)),
    "green glass": Kind(glass=(222, 240, 225)),
    "noisy glass": Kind(noise=4.0),
    "saturated glass": Kind(glass=(255, 255, 255), noise=0.0),
    "uneven light": Kind(after=(shade(0.06),)),
    "very uneven light": Kind(after=(shade(0.12),)),
    "dust": Kind(after=(dust,)),
    "pale section": Kind(strengths=(0.35,)),
    "very pale section": Kind(strengths=(0.2,)),
    "pale section on yellow glass": Kind(glass=(235, 225, 195), strengths=(0.35,)),
    "pale beside strong": Kind(strengths=(0.3, 2.0)),
    "pale beside blue pen": Kind(strengths=(0.35,), after=(pen("blue"),)),
    "pale beside green pen": Kind(strengths=(0.35,), after=(pen("green"),)),
    "pale beside black pen": Kind(strengths=(0.35,), after=(pen("black"),)),
    "pen on pink glass": Kind(glass=(243, 226, 236), after=(pen("blue"),)),
    "blue pen on the section": Kind(after=(pen("blue", on_tissue=True),)),
    "green pen on the section": Kind(after=(pen("green", on_tissue=True),)),
    "black fill": Kind(after=(fill(0),)),
    "black fill all around": Kind(after=(fill(0, around=True),)),
    "white fill": Kind(glass=(235, 225, 195), after=(fill(255),)),
    "white fill all around": Kind(after=(fill(255, around=True),)),
    "black fill, pen, yellow glass": Kind(glass=(235, 225, 195), strengths=(0.6,), after=(pen("green"), fill(0))),
    "strong section": Kind(strengths=(2.2,)),
}
"""What stained slides look like that a fixed limit takes for something else."""
