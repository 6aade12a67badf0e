"""Augmentation: what scanners and laboratories do to a slide and its stains, never what no slide shows; and the paper's own."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from serving.plugins import Registry

STAINS = np.asarray([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)
"""Haematoxylin, eosin and residual optical-density vectors (Ruifrok and Johnston, 2001)."""
UNMIX = np.linalg.inv(STAINS).astype(np.float32)
_LEAST_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class StainLook:
    """Mean and standard deviation of each channel's optical density, float32, (N, 3)."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def from_pictures(cls, pictures: Tensor) -> "StainLook":
        """Of pictures, float32, (N, 3, H, W), RGB 0..255."""
        found = density(pictures)
        return cls(found.mean((2, 3)), found.std((2, 3)).clamp_min(_LEAST_SPREAD))

    def select(self, index: Tensor) -> "StainLook":
        """Those of some pictures, int64, (M,)."""
        return StainLook(self.mean[index], self.spread[index])


def density(pictures: Tensor) -> Tensor:
    """Optical density of RGB in 0..255: 0 for white."""
    return -torch.log((pictures + 1) / 256)


def restain(pictures: Tensor, own: StainLook, new: StainLook, share: Tensor) -> Tensor:
    """Pictures with another look's mean and spread of optical density (Reinhard et al., 2001), each to its share.

    pictures : float32, (N, 3, H, W), RGB 0..255. share : float32, (N,), 0 leaves a picture as it is
    """
    found = density(pictures)
    scale = (new.spread / own.spread).clamp(0.5, 2.0)[:, :, None, None]
    moved = (found - own.mean[:, :, None, None]) * scale + new.mean[:, :, None, None]
    weight = share[:, None, None, None]
    return (256 * torch.exp(-(weight * moved + (1 - weight) * found)) - 1).clamp(0, 255)


def remix_stains(pictures: Tensor, strength: Tensor, turn: Tensor) -> Tensor:
    """Pictures whose stains are stronger or weaker, and of slightly other hues.

    pictures : float32, (N, 3, H, W), RGB 0..255. strength : float32, (N, 3), factor of each stain
    turn : float32, (N, 3, 3), added to the stains' optical-density vectors
    """
    mix = torch.from_numpy(UNMIX) @ torch.diag_embed(strength) @ (torch.from_numpy(STAINS) + turn)
    found = -torch.log(pictures.clamp(1, 255) / 255)
    return 255 * torch.exp(-torch.einsum("nchw,ncd->ndhw", found, mix))


Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Augment = Callable[[Pixels, Boxes, np.random.Generator], tuple[Pixels, Boxes]]
"""A square picture, uint8, (S, S, 3), and boxes, float32, (N, 4), xyxy px -> the same of an augmented one."""

AUGMENTATIONS: Registry[Augment] = Registry("augmentation")

_DISTORT = v2.RandomPhotometricDistort()
"""The paper's "random photo-metric distortion from torchvision", which also permutes colour channels."""
_KERNEL_RADIUS = 4

Range = tuple[float, float]


class Photometric(BaseModel):
    """How much a scanner, its focus and its files may change a picture. Ranges are drawn from uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    stain_strength: Range = (0.7, 1.35)
    """Factor of the optical density of each stain."""
    stain_turn: float = Field(default=0.03, ge=0)
    """Standard deviation of what is added to the stains' optical-density vectors."""
    brightness: Range = (0.92, 1.06)
    """Factor of each colour channel."""
    gamma: Range = (0.85, 1.2)
    blurred: float = Field(default=0.35, ge=0, le=1)
    """Share of the pictures that are out of focus."""
    blur_px: Range = (0.3, 1.3)
    """Standard deviation of the Gaussian blur."""
    sharpened: float = Field(default=0.2, ge=0, le=1)
    """Share of the pictures that a scanner has sharpened."""
    noisy: float = Field(default=0.25, ge=0, le=1)
    """Share of the pictures with noise."""
    noise: Range = (1.0, 6.0)
    """Standard deviation of the noise, grey values."""
    compressed: float = Field(default=0.3, ge=0, le=1)
    """Share of the pictures that are compressed as JPEG again."""
    jpeg_quality: tuple[int, int] = (40, 95)


STANDARD = Photometric()


def dihedral(pixels: Pixels, boxes: Boxes, k: int) -> tuple[Pixels, Boxes]:
    """One of the eight symmetries of a square picture, applied to pixels and boxes (xyxy px) alike; k in 0..7."""
    side = pixels.shape[0]
    if k & 1:
        pixels, boxes = (
            pixels[:, ::-1],
            _sort_corners(np.stack([side - boxes[:, 0], boxes[:, 1], side - boxes[:, 2], boxes[:, 3]], 1)),
        )
    if k & 2:
        pixels, boxes = (
            pixels[::-1],
            _sort_corners(np.stack([boxes[:, 0], side - boxes[:, 1], boxes[:, 2], side - boxes[:, 3]], 1)),
        )
    if k & 4:
        pixels, boxes = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return pixels, boxes.astype(np.float32)


def _sort_corners(boxes: Boxes) -> Boxes:
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], 1)


def photometric(pictures: Tensor, rng: np.random.Generator, amount: Photometric = STANDARD) -> Tensor:
    """Random stain strength and hue, brightness, gamma, focus, noise and compression, of each picture its own.

    pictures : float32, (N, 3, H, W), RGB 0..255 -> the same, whole numbers
    """
    count = len(pictures)

    def uniform(span: Range, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(*span, (count, *shape)).astype(np.float32))

    turn = torch.from_numpy(rng.normal(0, amount.stain_turn, (count, 3, 3)).astype(np.float32))
    pixels = remix_stains(pictures, uniform(amount.stain_strength, 3), turn) * uniform(amount.brightness, 3, 1, 1)
    pixels = 255 * (pixels / 255).clamp(0, 1) ** uniform(amount.gamma, 1, 1, 1)
    pixels = _refocus(pixels, rng, amount)
    grain = uniform(amount.noise, 1, 1, 1) * torch.from_numpy(rng.random((count, 1, 1, 1)) < amount.noisy)
    if grain.any():
        pixels = pixels + grain * torch.from_numpy(rng.standard_normal(tuple(pixels.shape), np.float32))
    return _compress(pixels.clamp(0, 255).round(), rng, amount)


def photometric_picture(pixels: Pixels, rng: np.random.Generator, amount: Photometric = STANDARD) -> Pixels:
    """`photometric` of one picture, uint8, (H, W, 3)."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float()[None]
    changed = photometric(batch, rng, amount)[0].permute(1, 2, 0).to(torch.uint8)
    return np.ascontiguousarray(changed.numpy())


def _refocus(pixels: Tensor, rng: np.random.Generator, amount: Photometric) -> Tensor:
    """Some pictures blurred, some sharpened."""
    count = len(pixels)
    kind, sigma = rng.random(count), rng.uniform(*amount.blur_px, count)
    blurred = kind < amount.blurred
    sharpened = ~blurred & (kind < amount.blurred + amount.sharpened)
    # What is added of the difference to the blurred picture: -1 replaces by it, above 0 sharpens.
    add = np.where(blurred, -1.0, np.where(sharpened, rng.uniform(0.2, 1.0, count), 0.0)).astype(np.float32)
    chosen = np.flatnonzero(add)
    if not len(chosen):
        return pixels
    some = pixels[chosen]
    soft = _blur(some, np.where(blurred, sigma, 1.0)[chosen])
    result = pixels.clone()
    result[chosen] = some + torch.from_numpy(add[chosen])[:, None, None, None] * (some - soft)
    return result


def _blur(pixels: Tensor, sigma: NDArray[np.float64]) -> Tensor:
    """Each picture blurred by its own Gaussian. pixels : (N, 3, H, W). sigma : (N,), px."""
    offsets = np.arange(-_KERNEL_RADIUS, _KERNEL_RADIUS + 1)
    line = np.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    line = np.repeat(line / line.sum(1, keepdims=True), 3, axis=0).astype(np.float32)
    n, _, height, width = pixels.shape
    pad = (_KERNEL_RADIUS,) * 4
    planes = F.pad(pixels, pad, mode="replicate").reshape(1, 3 * n, height + 2 * pad[0], width + 2 * pad[0])
    down = F.conv2d(planes, torch.from_numpy(line)[:, None, :, None], groups=3 * n)
    return F.conv2d(down, torch.from_numpy(line)[:, None, None, :], groups=3 * n).reshape(n, 3, height, width)


def _compress(pixels: Tensor, rng: np.random.Generator, amount: Photometric) -> Tensor:
    """Some pictures compressed as JPEG, half of those with chroma at half resolution."""
    count = len(pixels)
    chosen, quality = rng.random(count) < amount.compressed, rng.integers(*amount.jpeg_quality, count)
    halved = rng.random(count) < 0.5
    for i in np.flatnonzero(chosen):
        picture = np.ascontiguousarray(pixels[i].permute(1, 2, 0).to(torch.uint8).numpy())
        coded = simplejpeg.encode_jpeg(picture, int(quality[i]), colorsubsampling="420" if halved[i] else "444")
        pixels[i] = torch.from_numpy(simplejpeg.decode_jpeg(coded)).permute(2, 0, 1).float()
    return pixels


@AUGMENTATIONS.register("stain-safe")
def stain_safe(pixels: Pixels, boxes: Boxes, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
    """The eight symmetries, and what scanners and laboratories do."""
    turned, moved = dihedral(pixels, boxes, int(rng.integers(8)))
    return photometric_picture(turned, rng), moved


@AUGMENTATIONS.register("paper")
def paper_augmentation(pixels: Pixels, boxes: Boxes, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
    """The paper's: mirrored, and torchvision's photometric distortion."""
    turned, moved = dihedral(pixels, boxes, int(rng.integers(2)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        distorted = _DISTORT(torch.from_numpy(np.ascontiguousarray(turned)).permute(2, 0, 1))
    return distorted.permute(1, 2, 0).contiguous().numpy(), moved
