"""Stain-safe augmentation: what scanners and laboratories do to a slide, never what no slide shows."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

# Haematoxylin, eosin and residual optical-density vectors (Ruifrok and Johnston, 2001).
STAINS = np.asarray([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32)
UNMIX = np.linalg.inv(STAINS).astype(np.float32)


def dihedral(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], k: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One of the eight symmetries of a square picture, applied to pixels and boxes (xyxy px) alike; k in 0..7."""
    side = pixels.shape[0]
    if k & 1:
        pixels, boxes = (
            pixels[:, ::-1],
            _sorted(np.stack([side - boxes[:, 0], boxes[:, 1], side - boxes[:, 2], boxes[:, 3]], 1)),
        )
    if k & 2:
        pixels, boxes = (
            pixels[::-1],
            _sorted(np.stack([boxes[:, 0], side - boxes[:, 1], boxes[:, 2], side - boxes[:, 3]], 1)),
        )
    if k & 4:
        pixels, boxes = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return pixels, boxes.astype(np.float32)


def _sorted(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], 1)


def photometric(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random stain strength and hue, brightness, focus, noise and re-compression of an RGB picture."""
    density = -np.log(np.maximum(pixels, 1).astype(np.float32) / 255.0)
    strength = rng.uniform(0.7, 1.35, 3).astype(np.float32)
    mix = UNMIX @ np.diag(strength) @ (STAINS + rng.normal(0, 0.03, (3, 3)).astype(np.float32))
    bright = np.exp(-(density @ mix)) * rng.uniform(0.92, 1.06, 3).astype(np.float32)
    picture = 255.0 * np.clip(bright, 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    if rng.random() < 0.35:
        picture = ndimage.gaussian_filter(picture, (s := rng.uniform(0.3, 1.3), s, 0))
    elif rng.random() < 0.3:
        soft = ndimage.gaussian_filter(picture, (1.0, 1.0, 0))
        picture = picture + rng.uniform(0.2, 1.0) * (picture - soft)
    if rng.random() < 0.25:
        picture = picture + rng.normal(0, rng.uniform(1, 6), picture.shape).astype(np.float32)
    result = np.clip(picture, 0, 255).astype(np.uint8)
    return _recompressed(result, int(rng.integers(40, 95))) if rng.random() < 0.3 else result


def _recompressed(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))
