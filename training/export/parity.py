"""Parity samples: real windows, blank ones and crowded ones, with what torch says of them."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.synthetic.field import generate_field

Arrays = Mapping[str, NDArray[np.generic]]


def parity_windows() -> NDArray[np.uint8]:
    """Generated windows that travel with the model: blank glass, black, noise, sparse and crowded tissue.

    -> uint8, shape (8, 250, 250, 3)
    """
    rng = np.random.default_rng(7)
    flat = [np.full((250, 250, 3), v, np.uint8) for v in (255, 0)]
    noise = rng.integers(0, 256, (250, 250, 3), dtype=np.uint8)
    return np.stack([*flat, noise, *_tissue()])


@cache
def _tissue() -> tuple[NDArray[np.uint8], ...]:
    """Five windows of uint8, shape (250, 250, 3); every export asks for them several times."""
    sparse = generate_field(seed=71, width=500, height=250, mitoses_per_mm2=30).pixels
    crowded = generate_field(seed=72, width=500, height=500, mitoses_per_mm2=900, lookalikes_per_mm2=600).pixels
    corners = [crowded[y : y + 250, x : x + 250] for y, x in ((0, 0), (0, 250), (250, 125))]
    return sparse[:, :250], sparse[:, 250:], *corners


def parity_tile() -> NDArray[np.uint8]:
    """The same windows laid out as one tile, uint8, shape (1, 500, 1000, 3)."""
    windows = parity_windows()
    return np.concatenate([np.concatenate(list(windows[i : i + 4]), axis=1) for i in (0, 4)], axis=0)[None]


def write_parity(path: Path, sample: NDArray[np.uint8], outputs: Arrays) -> None:
    """A compressed npz with `input` and one array an output."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, input=sample, **outputs)  # type: ignore[arg-type]
    path.write_bytes(buffer.getvalue())
