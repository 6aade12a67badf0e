"""Which tiles people are asked to label: the rules of the expert set and of the crowd set (paper, Section 3.1)."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXPERT_TOP = 800
"""Tiles of each slide in the expert set."""
CROWD_THRESHOLD = 0.2
CROWD_REST = 0.1
"""Share of the tiles at or below the threshold that the crowd set takes too."""
TILES_PER_SLIDE = (800, 3000)
"""What the paper's slides have; other numbers hint at a wrong resolution or tissue mask."""


def expert_reasons(scores: NDArray[np.float64], *, top: int) -> list[str]:
    """Why each tile is taken, empty where it is not: it is among the `top` scores, the first of equals winning."""
    order = np.argsort(-scores, kind="stable")[:top]
    taken = np.zeros(len(scores), np.bool_)
    taken[order] = True
    return [f"top {top}" if t else "" for t in taken]


def crowd_reasons(
    scores: NDArray[np.float64], *, complete: bool, threshold: float, rest: float, rng: np.random.Generator
) -> list[str]:
    """Why each tile is taken, empty where it is not: its slide is complete, its score is above, or it was drawn.

    rest : share of the tiles at or below the threshold that is drawn, 0 to 1
    """
    if complete:
        return ["complete slide"] * len(scores)
    reasons = [f"score > {threshold:g}" if score > threshold else "" for score in scores]
    others = np.flatnonzero(scores <= threshold)
    for index in rng.choice(others, round(rest * len(others)), replace=False):
        reasons[index] = f"random {rest:.0%} of the rest"
    return reasons


def complete_slides(names: Sequence[str], *, count: int, seed: int) -> set[str]:
    """The slides of which every tile is taken, drawn by seed.

    Raises
    ------
    ValueError
        If there are fewer slides.
    """
    if not 0 <= count <= len(names):
        raise ValueError(f"{count} complete slides asked for, {len(names)} were given")
    return set(np.random.default_rng([seed, 0]).choice(sorted(names), count, replace=False).tolist())


def slide_rng(seed: int, name: str) -> np.random.Generator:
    """Chance that depends on seed and slide alone, not on which slides come before."""
    return np.random.default_rng([seed, 1, zlib.crc32(name.encode())])
