"""Generated tissue of any extent: every rectangle of it can be drawn alone and fits its neighbours."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from serving.core.geometry import Region
from serving.synthetic.artefacts import GLASS, REACH_PX, Artefact
from serving.synthetic.cells import FIGURES, LOOKALIKES, ORDINARY, Stamp, rotate_stamp

MPP = 0.25
"""Microns per px of everything that is drawn."""
NUCLEI_PER_MM2 = 4200.0
"""A cellular carcinoma at 40x."""
BLOCK_PX = 512
"""Cells are placed block by block, each with a generator of its own."""
SPACING_PX = 80.0
"""Least distance of figures and look-alikes of one block from each other: none hides another."""
EDGE_PX = 48
"""Figures and look-alikes keep this far from a block's edge."""
_CLEAR_PX = 36.0
"""No ordinary nucleus is nearer to a figure than this."""
_LIBRARY = 32
"""Stamps drawn of each kind; places reuse them turned by any angle."""
_TEXTURE_PX = 1024
"""Period of the background's textures."""
_REACH_PX = 64
"""Half of the largest stamp, rotated."""
_MARGIN_PX = 4
"""Drawn around a region, for the lens."""
_BELOW_PX = 611, 347
"""What lies below a fold is this far away."""
# Optical density per channel of one unit of stain, after Ruifrok and Johnston (2001), redder as in the scans at hand.
_HAEMATOXYLIN = np.asarray([0.62, 0.74, 0.36], np.float32)
_EOSIN = np.asarray([0.09, 0.62, 0.30], np.float32)

Cover = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float32]]
"""How much tissue, 0 to 1, is at columns x (shape (W,)) and rows y (shape (H,)): float32, shape (H, W)."""


@dataclass(frozen=True, slots=True)
class SyntheticField:
    """pixels : uint8, shape (height, width, 3). mitotic_figures, lookalikes : float32, shape (N, 4), xyxy, px."""

    pixels: NDArray[np.uint8]
    mitotic_figures: NDArray[np.float32]
    lookalikes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SyntheticCell:
    """One cell of the tissue, centred at (x, y), level-0 px."""

    x: float
    y: float
    stamp: Stamp
    angle: float
    kind: str
    """nucleus, figure or lookalike."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Extent of the nucleus, xyxy, level-0 px."""
        stamp = rotate_stamp(self.stamp, self.angle)
        half_width, half_height = stamp.width / 2, stamp.height / 2
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height


def everywhere(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float32]:
    """A cover without glass."""
    return np.ones((len(y), len(x)), np.float32)


def generate_field(
    *, seed: int, width: int, height: int, mitoses_per_mm2: float = 30.0, lookalikes_per_mm2: float = 30.0
) -> SyntheticField:
    """Tissue of `width` x `height` px at 0.25 um/px; the same arguments give the same pixels."""
    tissue = SyntheticTissue(seed, mitoses_per_mm2, lookalikes_per_mm2)
    whole = Region(0, 0, width, height)
    return SyntheticField(tissue.draw(whole), tissue.boxes(whole, "figure"), tissue.boxes(whole, "lookalike"))


@dataclass(slots=True)
class SyntheticTissue:
    """Endless tissue; `cover` says where it is and where there is glass."""

    seed: int
    mitoses_per_mm2: float
    lookalikes_per_mm2: float
    cover: Cover = everywhere
    artefacts: tuple[Artefact, ...] = ()
    stain_turn: float = 0.0
    """Degrees by which eosin is bluer than usual, as from another laboratory."""
    _library: dict[str, list[Stamp]] = field(init=False)
    _textures: dict[str, NDArray[np.float32]] = field(init=False)
    _stains: tuple[NDArray[np.float32], NDArray[np.float32]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 0])
        kinds = {"nucleus": ORDINARY, "figure": FIGURES, "lookalike": LOOKALIKES}
        self._library = {k: [makers[i % len(makers)](rng) for i in range(_LIBRARY)] for k, makers in kinds.items()}
        self._textures = _textures(rng)
        strength = rng.uniform(0.95, 1.1, 2)
        self._stains = (
            (strength[0] * (_HAEMATOXYLIN + rng.normal(0, 0.015, 3))).astype(np.float32),
            _bluer((strength[1] * (_EOSIN + rng.normal(0, 0.015, 3))).astype(np.float32), self.stain_turn),
        )

    def draw(self, region: Region) -> NDArray[np.uint8]:
        """The pixels of a region, uint8, shape (height, width, 3)."""
        artefacts = [a for a in self.artefacts if a.touches(region)]
        margin = _MARGIN_PX + REACH_PX if artefacts else _MARGIN_PX
        wide = Region(region.x - margin, region.y - margin, region.width + 2 * margin, region.height + 2 * margin)
        x, y = np.arange(wide.x, wide.right), np.arange(wide.y, wide.bottom)
        light = self._light(x, y, self.cover)
        for artefact in artefacts:
            part = artefact.extent.intersection(wide)
            rows, columns = slice(part.y - wide.y, part.bottom - wide.y), slice(part.x - wide.x, part.right - wide.x)
            light[rows, columns] = self._spoilt(light[rows, columns], artefact, x[columns], y[rows])
        noise = 1.5 * self._texture("noise", x, y)[..., None]
        return np.clip(light + noise, 0, 255).astype(np.uint8)[margin:-margin, margin:-margin]

    def boxes(self, region: Region, kind: str) -> NDArray[np.float32]:
        """Boxes of the cells of a kind whose nuclei lie in the region, float32, shape (N, 4), xyxy, relative to it."""
        rows = [cell.box for cell in self.cells_near(region) if cell.kind == kind]
        boxes = np.asarray(rows, np.float32).reshape(-1, 4) - np.asarray([region.x, region.y] * 2, np.float32)
        whole = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2] <= region.width) & (boxes[:, 3] <= region.height)
        return boxes[whole].astype(np.float32)

    def cells_near(self, region: Region) -> Iterator[SyntheticCell]:
        """Cells that may reach into the region: nuclei first, so that figures and look-alikes lie on top."""
        columns = range((region.x - _REACH_PX) // BLOCK_PX, (region.right + _REACH_PX) // BLOCK_PX + 1)
        rows = range((region.y - _REACH_PX) // BLOCK_PX, (region.bottom + _REACH_PX) // BLOCK_PX + 1)
        cells = [cell for row in rows for column in columns for cell in self._block(column, row)]
        near = [
            c
            for c in cells
            if region.x - _REACH_PX < c.x < region.right + _REACH_PX
            and region.y - _REACH_PX < c.y < region.bottom + _REACH_PX
        ]
        yield from sorted(near, key=lambda cell: cell.kind != "nucleus")

    def _block(self, column: int, row: int) -> list[SyntheticCell]:
        # Blocks left of and above the origin exist too; a generator's seed must not be negative.
        rng = np.random.default_rng([self.seed, 1, column + 2**20, row + 2**20])
        corner = np.asarray([column, row], np.float64) * BLOCK_PX
        area = (BLOCK_PX * MPP / 1000) ** 2
        spots, kinds = _spots(rng, area, {"figure": self.mitoses_per_mm2, "lookalike": self.lookalikes_per_mm2})
        pitch = 1000 / (np.sqrt(NUCLEI_PER_MM2) * MPP)
        grid = np.stack(np.meshgrid(*[np.arange(pitch / 2, BLOCK_PX, pitch)] * 2), -1).reshape(-1, 2)
        grid += rng.uniform(-0.42 * pitch, 0.42 * pitch, grid.shape)
        if len(spots):
            grid = grid[np.hypot(*(grid[:, None] - spots[None]).transpose(2, 0, 1)).min(1) > _CLEAR_PX]
        grid = grid[rng.random(len(grid)) < 0.85]
        return [
            SyntheticCell(x, y, stamps[rng.integers(len(stamps))], float(rng.integers(24)) * 15.0, kind)
            for (x, y), kind in zip(
                np.concatenate([grid, spots]) + corner, ["nucleus"] * len(grid) + kinds, strict=True
            )
            for stamps in [self._library[kind]]
            if self.cover(np.asarray([x]), np.asarray([y]))[0, 0] > (0.6 if kind == "nucleus" else 0.98)
        ]

    def _stroma(self, x: NDArray[np.intp], y: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cytoplasm and fibres: (haematoxylin, eosin), float32, shape (H, W)."""
        fine, mid, coarse, fibres = (self._texture(n, x, y) for n in ("fine", "mid", "coarse", "fibres"))
        eosin = 0.46 + 0.05 * fine + 0.06 * mid + 0.06 * coarse + 0.10 * np.abs(fibres)
        haematoxylin = 0.17 + 0.02 * fine + 0.03 * mid + 0.04 * coarse
        return np.clip(haematoxylin, 0, None), np.clip(eosin, 0.05, None)

    def _spoilt(
        self, light: NDArray[np.float32], artefact: Artefact, x: NDArray[np.intp], y: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        middles = x.astype(np.float64) + 0.5, y.astype(np.float64) + 0.5
        return artefact.draw(light, *middles, lambda: self._below(x, y))

    def _below(self, x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.float32]:
        """The light of what lies below a fold: other tissue, also where there is glass beside."""
        return self._light(x + _BELOW_PX[0], y + _BELOW_PX[1], everywhere)

    def _light(self, x: NDArray[np.intp], y: NDArray[np.intp], cover: Cover) -> NDArray[np.float32]:
        """What passes the stains of columns x and rows y by Beer and Lambert's law, and a slightly soft lens."""
        wide = Region(int(x[0]), int(y[0]), len(x), len(y))
        haematoxylin, eosin = self._stroma(x, y)
        for cell in self.cells_near(wide):
            _press(haematoxylin, eosin, rotate_stamp(cell.stamp, cell.angle), cell.x - wide.x, cell.y - wide.y)
        share = cover(x.astype(np.float64), y.astype(np.float64))
        density = (haematoxylin * share)[..., None] * self._stains[0] + (eosin * share)[..., None] * self._stains[1]
        return np.asarray(ndimage.gaussian_filter(GLASS * np.exp(-1.3 * density), (0.8, 0.8, 0)))

    def _texture(self, name: str, x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.float32]:
        return self._textures[name][np.ix_(y % _TEXTURE_PX, x % _TEXTURE_PX)]


def _bluer(stain: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """A stain as strong, its optical density turned towards that of a dye that takes blue light alone."""
    strength = float(np.linalg.norm(stain))
    blue = np.asarray([0, 0, 1], np.float32) - stain * stain[2] / strength**2
    turn = np.radians(degrees)
    return np.asarray(np.cos(turn) * stain + np.sin(turn) * strength * blue / np.linalg.norm(blue), np.float32)


def _textures(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Smooth noise of unit spread that repeats without a seam."""
    blurs: dict[str, float | tuple[float, float]] = {
        "noise": 0.0,
        "fine": 1.3,
        "mid": 6.0,
        "coarse": 40.0,
        "fibres": (3.0, 16.0),
    }
    made = {}
    for name, sigma in blurs.items():
        noise = rng.standard_normal((_TEXTURE_PX, _TEXTURE_PX), np.float32)
        smooth = fft.irfft2(ndimage.fourier_gaussian(fft.rfft2(noise), sigma, n=_TEXTURE_PX))
        made[name] = (smooth / smooth.std()).astype(np.float32)
    return made


def _spots(rng: np.random.Generator, area: float, densities: dict[str, float]) -> tuple[NDArray[np.float64], list[str]]:
    """Places in a block, float64, shape (N, 2), (x, y), at least `SPACING_PX` apart, and their kinds."""
    spots: list[NDArray[np.float64]] = []
    kinds: list[str] = []
    for kind, density in densities.items():
        for _ in range(int(rng.poisson(density * area))):
            spot = rng.uniform(EDGE_PX, BLOCK_PX - EDGE_PX, 2)
            if all(np.hypot(*(spot - other)) >= SPACING_PX for other in spots):
                spots.append(spot)
                kinds.append(kind)
    return np.asarray(spots, np.float64).reshape(-1, 2), kinds


def _press(haematoxylin: NDArray[np.float32], eosin: NDArray[np.float32], stamp: Stamp, x: float, y: float) -> None:
    """Put a stamp, centred at (x, y), on both stains, cut at the canvas's edges."""
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
