"""What a Reg-NS over whole tiles learns from: parts of tiles, made of crops or cut from fields, with glass in some of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.data.augmentation import dihedral, photometric_picture
from training.data.crops import CropBank
from training.data.fields import Field
from training.data.windows import Boxes, Pixels, Source, background_source, collage_source, event_source
from training.labels.targets import cell_shares
from training.models.cascade import CELL_PITCH_PX
from training.models.whole_tile import SCALE

SIDE_PX = 512
"""Enlarged px: 3 x 3 sub-tiles that share their features."""
CELLS = SIDE_PX // int(CELL_PITCH_PX)
_EDGES = CELL_PITCH_PX * np.arange(CELLS + 1, dtype=np.float64)
_SHOWN_PX = SIDE_PX / SCALE
_GLASS = (228, 250)
"""Grey values of glass."""
_SHORE_PX = (40.0, 120.0)
"""How smooth the border of tissue is: sigma of the noise that it is a level line of."""


@dataclass(frozen=True, slots=True)
class ScreeningTiles:
    """Draws parts of tiles.

    sources : of parts of `SIDE_PX` px, with the weight of each
    glass : share of the parts in which some of the tissue is replaced by glass
    """

    sources: Sequence[tuple[float, Source]]
    glass: float

    def draw(self, rng: np.random.Generator) -> tuple[Pixels, NDArray[np.float32]]:
        """Pixels, uint8, (512, 512, 3), and each cell's share of the figures, float32, (16, 16)."""
        weights = np.asarray([weight for weight, _ in self.sources])
        part = self.sources[rng.choice(len(weights), p=weights / weights.sum())][1](rng)
        pixels, boxes = part.pixels.copy(), part.boxes
        if rng.random() < self.glass:
            boxes = _flood_with_glass(pixels, boxes, rng)
        pixels, boxes = dihedral(pixels, boxes, int(rng.integers(8)))
        return photometric_picture(pixels, rng), cell_shares(boxes, _EDGES)


def crop_parts(bank: CropBank, figures: float) -> Source:
    """Parts of tiles that are collages of crops. figures : share of the crops that show their figure."""
    return collage_source(bank, side=_SHOWN_PX, size=SIDE_PX, share=figures)


def field_parts(fields: Sequence[Field]) -> tuple[Source, Source]:
    """Parts of fields: around a figure, and anywhere."""
    return (
        event_source(fields, side=_SHOWN_PX, size=SIDE_PX),
        background_source(fields, side=_SHOWN_PX, size=SIDE_PX),
    )


def _flood_with_glass(pixels: Pixels, boxes: Boxes, rng: np.random.Generator) -> Boxes:
    """Put glass over part or all of the pixels; the boxes that it leaves, and those it touches are covered whole."""
    hills = ndimage.gaussian_filter(rng.standard_normal(pixels.shape[:2]), rng.uniform(*_SHORE_PX), mode="wrap")
    level = rng.uniform(-1.5, 2.5) * hills.std() + hills.mean()
    covered = hills < level
    dry = []
    for box in boxes:
        x1, y1, x2, y2 = box.round().astype(int).clip(0, SIDE_PX)
        if covered[y1:y2, x1:x2].any():
            covered[y1:y2, x1:x2] = True
        else:
            dry.append(box)
    alpha = ndimage.gaussian_filter(covered.astype(np.float32), rng.uniform(0.5, 3.0))[..., None]
    pixels[:] = (alpha * _glass(rng) + (1 - alpha) * pixels).astype(np.uint8)
    return np.asarray(dry, np.float32).reshape(-1, 4)


def _glass(rng: np.random.Generator) -> NDArray[np.float32]:
    """Glass of one brightness and tint with a slope, grain and some specks of dust, float32, (512, 512, 3)."""
    colour = rng.uniform(*_GLASS) + rng.uniform(-5, 5, 3)
    slope = np.linspace(-1, 1, SIDE_PX)[:, None] * rng.uniform(-4, 4)
    grain = rng.normal(0, rng.uniform(0, 2.5), (SIDE_PX, SIDE_PX))
    dust = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    specks = rng.integers(0, SIDE_PX, (int(rng.integers(0, 6)), 2))
    dust[specks[:, 0], specks[:, 1]] = 1
    dust = ndimage.gaussian_filter(dust, sigma := rng.uniform(1.0, 4.0)) * (2 * np.pi * sigma**2 * rng.uniform(20, 140))
    return np.clip(colour + (slope + grain - dust)[..., None], 0, 255).astype(np.float32)
