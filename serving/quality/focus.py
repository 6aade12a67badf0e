"""Focus, from how fast pixels come to differ with their distance.

An edge in focus is as steep as the lens allows, so pixels 1 um apart differ nearly as much as pixels 4 um apart. Out of focus,
differences grow with the distance and their squares with its square: the mean squared difference D, the structure
function of turbulence theory (Kolmogorov, 1941), rises 16-fold from 1 to 4 um. The differences are Brenner's (1976) focus
measure at two distances; their ratio knows nothing of contrast, stain or how much there is to see, so it needs no reference
on the slide and a slide that is blurred throughout is found too. The sensor's noise differs as much between neighbours as
farther apart, so the difference of neighbours is taken off both.

Pixels 1 um apart are seen at full resolution only. They are measured in the tiles that models read, as these pass.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NEAR_PX, FAR_PX = 4, 16
"""1 and 4 um, in a frame of 0.22 to 0.28 um/px."""
FRAME_MPP = (0.22, 0.28)
"""Resolutions at which the rule was set. At coarser ones, neighbours are so far apart that no noise can be told."""
BLURRED = 7.0
"""Ratio from which a place is out of focus; 16 at most."""
LEAST_DIFFERENCE = 12.0
"""Mean squared difference, in grey values and above noise, of pixels `FAR_PX` apart, below which nothing could be sharp."""
PARTS = 2
"""Parts of a block a side, each about 15 um and judged alone: a part that the border of a blurred place crosses is sharp."""
_AROUND = 5
"""Parts a side, about 78 um, that vote: one part shows a nucleus or none."""
_LEAST_VOTES = 0.2
"""Share of them that must have something to say."""
_EVERY = 8
"""Every so many rows, and columns, are looked at: neighbours say the same."""
_LEAST_PARTS = 25
"""Connected blurred parts that count, about 0.006 mm2."""

Structure = NDArray[np.float32]
"""float32, shape (rows * PARTS, columns * PARTS, 2), of so many rows and columns of blocks: mean squared differences of pixels
`NEAR_PX` and `FAR_PX` apart, less that of neighbours; NaN where nothing was read."""


def is_measurable(mpp: float) -> bool:
    """Whether focus can be judged in pixels of `mpp`, by which models see a slide; elsewhere it stays unjudged."""
    return FRAME_MPP[0] <= mpp <= FRAME_MPP[1]


def measure_structure(pixels: NDArray[np.uint8], block: int) -> Structure:
    """The structure of the parts of each block of a picture; a part's pixels alone determine its numbers.

    pixels : uint8, shape (R * block, C * block, 3), RGB
    """
    side = block // PARTS
    rows, columns = pixels.shape[0] // block, pixels.shape[1] // block
    blocks = pixels[..., 1].reshape(rows, block, columns, block)[:, : side * PARTS, :, : side * PARTS]
    green = blocks.reshape(rows * PARTS, side, columns * PARTS, side)
    lines = green[:, _EVERY // 2 :: _EVERY].astype(np.int32)
    posts = green[..., _EVERY // 2 :: _EVERY].astype(np.int32)
    neighbours, near, far = (_difference(lines, posts, apart) for apart in (1, NEAR_PX, FAR_PX))
    return np.stack([near - neighbours, far - neighbours], -1).astype(np.float32)


def find_blur(structure: Structure) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which parts are out of focus, and which could be judged at all: bool, the shape of the parts each."""
    near, far = np.nan_to_num(structure[..., 0], nan=0.0), np.nan_to_num(structure[..., 1], nan=0.0)
    telling = far >= LEAST_DIFFERENCE
    # Votes keep the outline, where sums would follow whichever side has more contrast.
    votes, against = (
        ndimage.uniform_filter(says.astype(np.float32), _AROUND, mode="constant")
        for says in (telling & (far > BLURRED * near), telling & (far <= BLURRED * near))
    )
    judged = ~np.isnan(structure[..., 0]) & (votes + against >= _LEAST_VOTES)
    labels, _ = ndimage.label(judged & (votes > against))
    keep = np.bincount(labels.ravel()) >= _LEAST_PARTS
    keep[0] = False
    return np.asarray(keep[labels], np.bool_), np.asarray(judged, np.bool_)


def _difference(lines: NDArray[np.int32], posts: NDArray[np.int32], apart: int) -> NDArray[np.float64]:
    """Mean squared difference of each part's pixels `apart` px from each other, along both axes: shape (rows, columns)."""
    across, down = lines[..., apart:] - lines[..., :-apart], posts[:, apart:] - posts[:, :-apart]
    # Whole numbers: their sum is the same in any order.
    total = np.einsum("ijkl,ijkl->ik", across, across) + np.einsum("ijkl,ijkl->ik", down, down)
    return np.asarray(total * (total.size / (across.size + down.size)), np.float64)
