"""What the verifier learns from: windows around figures, and around nuclei that are none, drawn and augmented in batches.

Crops and fields come from other scanners, and nearly all negatives of the fields are look-alikes of one laboratory. So
each source gives figures and negatives, stains are exchanged between the sources, and all pass through one resampling.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from serving.scoring.matching import MATCH_RADIUS_UM
from training.data.augmentation import STAINS, UNMIX
from training.data.crops import CROP_PX, CropBank
from training.data.icpr2012 import Field
from training.models.verifier import WINDOW_PX

NUCLEI_PER_FIELD = 800
_BLUR_PX = 2.5
_JITTER_PX = 4.0
_JITTER_LIMIT_PX = 10.0
_ZOOM = (0.82, 1.15)
_NEAR_PX, _FAR_PX = 24.0, 35.0
"""Negatives of a crop lie this far from its figure, and leave the window's disc inside the crop."""
_DARK_SHARE = 0.6
_RESTAINED = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """128 px pictures with what is to be learnt in the middle, and their stain.

    pixels : uint8, (N, 3, 128, 128); mean, spread : float32, (N, 3), of the optical density of each channel
    """

    pixels: Tensor
    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> "Surroundings":
        """From pictures, uint8, (N, 128, 128, 3)."""
        planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        means, spreads = [], []
        for start in range(0, len(planes), 512):
            density = _density(planes[start : start + 512].float())
            means.append(density.mean((2, 3)))
            spreads.append(density.std((2, 3)).clamp_min(0.02))
        return cls(planes, torch.cat(means), torch.cat(spreads))


@dataclass(frozen=True, slots=True)
class CropPatches:
    """Figures in the middle of crops; negatives beside them, of the same crops."""

    crops: Surroundings
    dark: list[NDArray[np.float64]]
    """Of each crop, the (x, y) offsets of dark spots that are far enough from its figure."""

    @classmethod
    def of(cls, bank: CropBank) -> "CropPatches":
        """Every crop of a bank."""
        return cls(Surroundings.of(bank.pixels), [_dark_offsets(crop) for crop in bank.pixels])

    def draw(self, positive: NDArray[np.bool_], stains: Surroundings | None, rng: np.random.Generator) -> Tensor:
        """Windows, float32, (N, 3, 64, 64), RGB 0..255. stains : half of them take a stain of these"""
        chosen = rng.integers(len(self.crops.pixels), size=len(positive))
        offsets = _jitter(len(positive), rng)
        for i in np.flatnonzero(~positive):
            offsets[i] += self._beside(int(chosen[i]), rng)
        return _windows(self.crops, chosen, offsets, stains, rng)

    def _beside(self, crop: int, rng: np.random.Generator) -> NDArray[np.float64]:
        spots = self.dark[crop]
        if len(spots) and rng.random() < _DARK_SHARE:
            return np.asarray(spots[rng.integers(len(spots))], np.float64)
        while True:
            offset = rng.uniform(-_FAR_PX, _FAR_PX, 2)
            if np.hypot(*offset) >= _NEAR_PX:
                return offset


@dataclass(frozen=True, slots=True)
class FieldPatches:
    """Figures of labelled fields, and nuclei of all fields that are none.

    hardness : float64, (N,), the weight that each negative is drawn with
    """

    figures: Surroundings
    nuclei: Surroundings
    hardness: NDArray[np.float64]

    @classmethod
    def of(cls, fields: Sequence[Field]) -> "FieldPatches":
        """Every figure of `fields`, and every nucleus that is not near one or in a forbidden area."""
        figures: list[NDArray[np.uint8]] = []
        nuclei: list[NDArray[np.uint8]] = []
        for field in fields:
            padded = np.pad(field.pixels, ((CROP_PX // 2,) * 2, (CROP_PX // 2,) * 2, (0, 0)), mode="symmetric")
            for centres, pictures in ((_centres(field), figures), (_other_nuclei(field), nuclei)):
                pictures += [padded[y : y + CROP_PX, x : x + CROP_PX] for x, y in centres.round().astype(int)]
        return cls(Surroundings.of(np.stack(figures)), Surroundings.of(np.stack(nuclei)), np.ones(len(nuclei)))

    def draw(self, positive: NDArray[np.bool_], stains: Surroundings | None, rng: np.random.Generator) -> Tensor:
        """As `CropPatches.draw`."""
        weights = self.hardness / self.hardness.sum()
        number = int(positive.sum())
        offsets = _jitter(len(positive), rng)
        parts = torch.empty((len(positive), 3, WINDOW_PX, WINDOW_PX))
        of_figures = rng.integers(len(self.figures.pixels), size=number)
        of_nuclei = rng.choice(len(weights), size=len(positive) - number, p=weights)
        for where, source, chosen in ((positive, self.figures, of_figures), (~positive, self.nuclei, of_nuclei)):
            if len(chosen):
                parts[torch.from_numpy(where)] = _windows(source, chosen, offsets[where], stains, rng)
        return parts


def plain_windows(pictures: Surroundings) -> Tensor:
    """The middles of pictures as serving shows them, float32, (N, 3, 64, 64)."""
    edge = (CROP_PX - WINDOW_PX) // 2
    return pictures.pixels[:, :, edge:-edge, edge:-edge].float()


def nuclei_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Centres (x, y) of the darkest spots of a picture, darkest first, float32, (N, 2), px."""
    smooth = ndimage.gaussian_filter(_darkness(pixels), _BLUR_PX)
    rows, columns = np.nonzero(smooth == ndimage.maximum_filter(smooth, size=25))
    order = np.argsort(-smooth[rows, columns], kind="stable")[:NUCLEI_PER_FIELD]
    return np.stack([columns[order], rows[order]], 1).astype(np.float32)


def _darkness(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    density: NDArray[np.float32] = -np.log(np.maximum(pixels, 1).astype(np.float32) / 255).mean(-1)
    return density


def _dark_offsets(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The four darkest spots of a crop outside its figure, as (x, y) from its middle."""
    smooth = ndimage.gaussian_filter(_darkness(crop), _BLUR_PX)
    rows, columns = np.nonzero(smooth == ndimage.maximum_filter(smooth, size=13))
    offsets = np.stack([columns, rows], 1) - (CROP_PX - 1) / 2
    fit = (np.hypot(*offsets.T) >= _NEAR_PX) & (np.abs(offsets).max(1) <= _FAR_PX)
    darkest = np.argsort(-smooth[rows[fit], columns[fit]], kind="stable")[:4]
    return np.asarray(offsets[fit][darkest], np.float64)


def _centres(field: Field) -> NDArray[np.float32]:
    return ((field.boxes[:, :2] + field.boxes[:, 2:]) / 2).astype(np.float32)


def _other_nuclei(field: Field) -> NDArray[np.float32]:
    """Nuclei that cannot be taken for one of the field's figures and show nothing forbidden."""
    nuclei, figures, shunned = nuclei_of(field.pixels), _centres(field), field.forbidden
    apart = np.hypot(*(nuclei[:, None] - figures[None]).transpose(2, 0, 1)).min(1, initial=np.inf)
    half = WINDOW_PX / 2 + 2
    low, high = nuclei[:, None] + half > shunned[None, :, :2], nuclei[:, None] - half < shunned[None, :, 2:]
    spoilt = np.any(np.all(low & high, axis=2), axis=1)
    chosen: NDArray[np.float32] = nuclei[(apart >= MATCH_RADIUS_UM / field.mpp) & ~spoilt]
    return chosen


def _jitter(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.normal(0, _JITTER_PX, (count, 2)).clip(-_JITTER_LIMIT_PX, _JITTER_LIMIT_PX)


def _windows(
    source: Surroundings,
    chosen: NDArray[np.intp],
    offsets: NDArray[np.float64],
    stains: Surroundings | None,
    rng: np.random.Generator,
) -> Tensor:
    """Turned, mirrored and scaled windows around offsets from the middle of chosen pictures, some with other stains."""
    index = torch.from_numpy(chosen)
    windows = _resampled(source.pixels[index].float(), torch.from_numpy(offsets).float(), rng)
    if stains is not None:
        other = torch.from_numpy(rng.integers(len(stains.pixels), size=len(chosen)))
        share = rng.uniform(0.5, 1.0, len(chosen)) * (rng.random(len(chosen)) < _RESTAINED)
        own, new = (source.mean[index], source.spread[index]), (stains.mean[other], stains.spread[other])
        windows = _restained(windows, own, new, torch.from_numpy(share).float())
    return photometric(windows, rng)


def _resampled(pictures: Tensor, offsets: Tensor, rng: np.random.Generator) -> Tensor:
    count, side = len(pictures), pictures.shape[-1]
    angle, zoom = torch.from_numpy(rng.uniform(0, 2 * math.pi, count)), torch.from_numpy(rng.uniform(*_ZOOM, count))
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], count))
    cosine, sine = (torch.cos(angle) * zoom).float(), (torch.sin(angle) * zoom).float()
    steps = torch.arange(WINDOW_PX) - (WINDOW_PX - 1) / 2
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    across = across[None] * mirror.float()[:, None, None]
    x = cosine[:, None, None] * across - sine[:, None, None] * down + offsets[:, 0, None, None]
    y = sine[:, None, None] * across + cosine[:, None, None] * down + offsets[:, 1, None, None]
    grid = torch.stack([x, y], -1) * (2 / side)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _density(pixels: Tensor) -> Tensor:
    return -torch.log((pixels + 1) / 256)


def _restained(windows: Tensor, own: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], share: Tensor) -> Tensor:
    """Windows with the new mean and spread of optical density (Reinhard et al., 2001), each to its share."""
    density = _density(windows)
    scale = (new[1] / own[1]).clamp(0.5, 2.0)[:, :, None, None]
    moved = (density - own[0][:, :, None, None]) * scale + new[0][:, :, None, None]
    weight = share[:, None, None, None]
    return (256 * torch.exp(-(weight * moved + (1 - weight) * density)) - 1).clamp(0, 255)


def photometric(windows: Tensor, rng: np.random.Generator) -> Tensor:
    """Random stain strength and hue, brightness, focus and noise, as `training.data.augmentation.photometric` on a batch."""
    count = len(windows)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, *shape)).astype(np.float32))

    strength = torch.where(uniform(0, 1, 1) < 0.15, torch.ones(count, 3), uniform(0.7, 1.35, 3))
    hues = torch.from_numpy(STAINS) + torch.from_numpy(rng.normal(0, 0.03, (count, 3, 3)).astype(np.float32))
    mix = torch.from_numpy(UNMIX) @ torch.diag_embed(strength) @ hues
    density = -torch.log(windows.clamp(1, 255) / 255)
    bright = torch.exp(-torch.einsum("nchw,ncd->ndhw", density, mix)) * uniform(0.92, 1.06, 3, 1, 1)
    pixels = 255 * bright.clamp(0, 1) ** uniform(0.85, 1.2, 1, 1, 1)
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (line[:, None] * line[None, :]).expand(3, 1, 5, 5)
    soft = F.conv2d(F.pad(pixels, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)
    kind = uniform(0, 1, 1, 1, 1)
    # Above 0 softens, below sharpens.
    focus = torch.where(kind < 0.35, uniform(0, 1, 1, 1, 1), torch.where(kind < 0.55, -uniform(0, 1, 1, 1, 1), 0.0))
    grain = uniform(0, 5, 1, 1, 1) * (uniform(0, 1, 1, 1, 1) < 0.25)
    noise = torch.from_numpy(rng.standard_normal(tuple(windows.shape), np.float32))
    return (pixels + focus * (soft - pixels) + grain * noise).clamp(0, 255)
