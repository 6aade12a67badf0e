"""The atypia model of tests: it tells figures of generated tissue apart by whether their middle is pale."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.modelcard import ModelCard
from serving.synthetic.field import SyntheticTissue
from tests.fakes import make_atypia_card
from tests.quick_models import pale_middle, write_quick_model

_PALE = (27.0, 30.0)
"""Extents of the stamps that are pale in their middle: rings, and anaphases (serving/synthetic/cells.py)."""


def write_atypia_model(root: Path, **changed: Any) -> Path:
    """Write a version of it below `root`; gives its folder."""
    card: ModelCard = make_atypia_card(**changed)
    return write_quick_model(root, card, pale_middle(), window=card.input.window_px)


def draw_figures(
    seed: int, width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]]:
    """A picture of generated tissue, the middles of its figures, (x, y), shape (N, 2), and which are pale there."""
    tissue, whole = SyntheticTissue(seed, 250.0, 100.0), Region(0, 0, width, height)
    figures = [cell for cell in tissue.cells_near(whole) if cell.kind == "figure" and _holds(whole, cell.x, cell.y)]
    middles = np.asarray([(cell.x, cell.y) for cell in figures], np.float64)
    return tissue.draw(whole), middles, np.asarray([cell.stamp.width in _PALE for cell in figures])


def _holds(region: Region, x: float, y: float) -> bool:
    return 0 <= x < region.width and 0 <= y < region.height
