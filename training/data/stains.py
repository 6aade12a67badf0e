"""Haematoxylin and eosin as optical densities, of batches of pictures."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

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
