"""What goes wrong with slides: ink, folds, air bubbles and blur, laid over generated tissue, with the truth of where."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from serving.core.geometry import Region

Kind = Literal["pen", "bubble", "fold", "blur"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Ink = Literal["blue", "green", "black"]
REACH_PX = 64
"""How far around a place pixels change it."""
GLASS = 246.0
"""Light that glass lets pass."""
_INKS = {"blue": (1.9, 1.3, 0.35), "green": (1.7, 0.6, 1.1), "black": (1.8, 1.8, 1.8)}
"""Optical density of red, green and blue."""
_EDGE_PX = 12.0
_DEFOCUS_PX, _UNDER_AIR_PX, _FOLDED_PX = 10.0, 8.0, 1.5
"""Spread of a point of light: 2.5 um out of focus, 2 um under a bubble, .4 um above the plane of focus."""
_RIM_PX, _RIM_DENSITY, _VEIL = 50.0, 1.7, 0.12
"""A rim is about 30 um wide; the veil of scattered light inside takes colours away."""
_TRIES = 400

Light = NDArray[np.float32]
"""float32, shape (height, width, 3): what reaches the sensor, 0 to 255."""
Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """All within `radius` of a line through `points`, (x, y), level-0 px; of one point it is a disc."""

    kind: Kind
    points: Line
    radius: float
    ink: Ink = "blue"

    def distance(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
        """Px from the line of columns x (shape (W,)) and rows y (shape (H,)): float32, shape (H, W)."""
        across, down = np.meshgrid(x, y)
        ends = self.points[1:] or self.points
        nearest = np.full(across.shape, np.inf)
        for (x1, y1), (x2, y2) in zip(self.points, ends, strict=False):
            length = (x2 - x1) ** 2 + (y2 - y1) ** 2
            at = ((across - x1) * (x2 - x1) + (down - y1) * (y2 - y1)) / length if length else np.zeros(across.shape)
            at = at.clip(0, 1)
            nearest = np.minimum(nearest, np.hypot(across - x1 - at * (x2 - x1), down - y1 - at * (y2 - y1)))
        return nearest.astype(np.float32)

    @property
    def extent(self) -> Region:
        """What holds it, and the pixels around it that change it."""
        room = self.radius + REACH_PX
        (left, top), (right, bottom) = np.floor(np.min(self.points, 0) - room), np.ceil(np.max(self.points, 0) + room)
        return Region(int(left), int(top), int(right - left), int(bottom - top))

    def touches(self, region: Region) -> bool:
        """Whether it may change pixels of the region."""
        return bool(self.extent.intersection(region).area)

    def draw(self, light: Light, x: NDArray[np.float64], y: NDArray[np.float64], below: Callable[[], Light]) -> Light:
        """The light of columns x and rows y with the artefact in its way.

        below : gives the light through another piece of tissue, which lies under a fold
        """
        far = self.distance(x, y)
        inside = np.clip((self.radius - far) / _EDGE_PX, 0, 1)[..., None]
        if self.kind == "pen":
            streaks = 0.9 + 0.1 * np.sin(far / 9.0)
            return _through(light, streaks[..., None] * inside * np.asarray(_INKS[self.ink], np.float32))
        if self.kind == "fold":
            return _mix(light, _spread(light * below() / GLASS, _FOLDED_PX), inside)
        if self.kind == "bubble":
            veiled = _spread(light, _UNDER_AIR_PX) * (1 - _VEIL) + 180 * _VEIL
            rim = np.exp(-(((far - self.radius + _RIM_PX) / _RIM_PX) ** 2))[..., None]
            return _through(_mix(light, veiled, inside), _RIM_DENSITY * rim * inside)
        return _mix(light, _spread(light, _DEFOCUS_PX), inside)


def truth_raster(artefacts: Sequence[Artefact], width: int, height: int, pitch: int) -> NDArray[np.uint8]:
    """What is where: 0 for nothing, else 1 + the kind's place in `KINDS`; the first of them where several are.

    -> uint8, shape (rows, columns); element [i, j] is the middle of a square of `pitch` level-0 px
    """
    x, y = ((np.arange(-(-n // pitch)) + 0.5).astype(np.float64) * pitch for n in (width, height))
    raster = np.zeros((len(y), len(x)), np.uint8)
    for artefact in sorted(artefacts, key=lambda a: -KINDS.index(a.kind)):
        raster[artefact.distance(x, y) <= artefact.radius] = 1 + KINDS.index(artefact.kind)
    return raster


def place_artefacts(
    kinds: Sequence[Kind], *, seed: int, width: int, height: int, is_tissue: Callable[[float, float], bool]
) -> list[Artefact]:
    """One artefact of each of `kinds`, apart from each other and on tissue, sized to the slide; the same for the same seed.

    Raises
    ------
    ValueError
        If there is no room.
    """
    rng = np.random.default_rng([seed, 3])
    placed: list[Artefact] = []
    for kind in kinds:
        for _ in range(_TRIES):
            made = _anywhere(kind, rng, width, height)
            if _on_tissue(made, is_tissue) and all(_is_apart(made, other) for other in placed):
                placed.append(made)
                break
        else:
            raise ValueError(f"no room for a {kind}; draw a larger slide or more tissue")
    return placed


def _anywhere(kind: Kind, rng: np.random.Generator, width: int, height: int) -> Artefact:
    side = min(width, height)
    radius = {"pen": 0.06, "bubble": 0.08, "fold": 0.03, "blur": 0.12}[kind] * side
    length = {"pen": 0.3, "fold": 0.35}.get(kind, 0.0) * side
    x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
    angle, bend = rng.uniform(0, 2 * math.pi), rng.uniform(-0.5, 0.5)
    middle = (x + length / 2 * math.cos(angle), y + length / 2 * math.sin(angle))
    end = (middle[0] + length / 2 * math.cos(angle + bend), middle[1] + length / 2 * math.sin(angle + bend))
    return Artefact(kind, ((x, y), middle, end) if length else ((x, y),), radius)


def _on_tissue(artefact: Artefact, is_tissue: Callable[[float, float], bool]) -> bool:
    return all(
        is_tissue(x + dx * artefact.radius, y + dy * artefact.radius)
        for x, y in artefact.points
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1))
    )


def _is_apart(one: Artefact, other: Artefact) -> bool:
    between = min(
        float(other.distance(np.asarray([x]), np.asarray([y]))[0, 0]) for a, b in zip(one.points, one.points[1:] or one.points, strict=False)
        for x, y in (a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), b)
    )  # fmt: skip
    return between > 1.3 * (one.radius + other.radius)


def _through(light: Light, density: NDArray[np.float32]) -> Light:
    return np.asarray(light * np.exp(-density), np.float32)


def _mix(light: Light, other: Light, share: NDArray[np.float32]) -> Light:
    return np.asarray(light * (1 - share) + other * share, np.float32)


def _spread(light: Light, px: float) -> Light:
    return np.asarray(ndimage.gaussian_filter(light, (px, px, 0)), np.float32)
