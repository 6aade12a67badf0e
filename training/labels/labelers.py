"""Simulated labelers, for tissue whose truth is known: the records that they would have left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.datasets.store import Box, Picture
from training.labels.records import BinaryRecord, BoxesRecord, Group

Boxes = NDArray[np.float32]

BINARY_PX = 250
"""Side of the tiles that were labelled as mitotic or not (paper, Section 4.1)."""
_SPREAD = 0.5
"""Of the logarithm of a look's seconds; people's times are skewed to the long side."""
_LEAST_PX = 1.0
"""No drawn box is thinner."""


@dataclass(frozen=True, slots=True)
class Labelers:
    """A group of labelers who see cells and err independently of one another.

    number : of people; reviewers : how many of them, drawn anew, see a tile
    finds : chance that one takes a figure for one; fooled : that one takes a look-alike for a figure
    jitter_px : standard deviation of each edge of a drawn box
    seconds_binary, seconds_boxes : medians of the time for a tile of each task
    """

    group: Group
    number: int
    reviewers: int
    finds: float
    fooled: float
    jitter_px: float
    seconds_binary: float = 2.7
    seconds_boxes: float = 39.0

    def __post_init__(self) -> None:
        if not 1 <= self.reviewers <= self.number:
            raise ValueError(f"{self.reviewers} of {self.number} labelers cannot review a tile")
        if not (0 <= self.finds <= 1 and 0 <= self.fooled <= 1 and self.jitter_px >= 0):
            raise ValueError("chances are from 0 to 1, the jitter is not negative")


CROWD_LABELERS = Labelers("crowd", number=24, reviewers=7, finds=0.8, fooled=0.08, jitter_px=3.0)
EXPERT_LABELERS = Labelers("expert", number=5, reviewers=5, finds=0.9, fooled=0.05, jitter_px=1.0)
"""Five, as in the paper. Error rates and jitter are ours, the times those of the paper's Table 3."""


def draw_boxes(
    tile: Picture, figures: Boxes, lookalikes: Boxes, labelers: Labelers, rng: np.random.Generator
) -> list[BoxesRecord]:
    """A record of each of the tile's reviewers: boxes of what they took for a mitotic figure.

    figures, lookalikes : float32, shape (N, 4), xyxy, px of the tile
    """
    return [
        BoxesRecord(
            tile=tile.id,
            labeler=name,
            group=labelers.group,
            seconds=_seconds(labelers.seconds_boxes, rng),
            tile_px=max(tile.width, tile.height),
            boxes=tuple(
                _draw_box(box, tile, labelers.jitter_px, rng)
                for box in _take_for_mitotic(figures, lookalikes, labelers, rng)
            ),
        )
        for name in _reviewers(labelers, rng)
    ]


def answer_parts(
    tile: Picture, figures: Boxes, lookalikes: Boxes, labelers: Labelers, rng: np.random.Generator
) -> list[BinaryRecord]:
    """Answers for each whole 250 px part of the tile, side by side, in a name of its own: `tile@x,y`.

    A part shows a cell if it holds the centre of its box.

    figures, lookalikes : float32, shape (N, 4), xyxy, px of the tile
    """
    corners = [
        (x, y)
        for y in range(0, tile.height - BINARY_PX + 1, BINARY_PX)
        for x in range(0, tile.width - BINARY_PX + 1, BINARY_PX)
    ]
    return [
        BinaryRecord(
            tile=f"{tile.id}@{x},{y}",
            labeler=name,
            group=labelers.group,
            seconds=_seconds(labelers.seconds_binary, rng),
            tile_px=BINARY_PX,
            answer=len(_take_for_mitotic(_find_centred(figures, x, y), _find_centred(lookalikes, x, y), labelers, rng))
            > 0,
        )
        for x, y in corners
        for name in _reviewers(labelers, rng)
    ]


def _reviewers(labelers: Labelers, rng: np.random.Generator) -> list[str]:
    chosen = rng.choice(labelers.number, labelers.reviewers, replace=False)
    return [f"{labelers.group}-{number + 1:02d}" for number in sorted(chosen)]


def _take_for_mitotic(figures: Boxes, lookalikes: Boxes, labelers: Labelers, rng: np.random.Generator) -> Boxes:
    """What one labeler takes for mitotic figures."""
    found = rng.random(len(figures)) < labelers.finds
    fooled = rng.random(len(lookalikes)) < labelers.fooled
    return np.concatenate([figures[found], lookalikes[fooled]])


def _draw_box(box: Sequence[float] | Boxes, tile: Picture, jitter_px: float, rng: np.random.Generator) -> Box:
    """The box with each edge moved, to a hundredth of a px, inside the tile."""
    x1, y1, x2, y2 = np.asarray(box, np.float64) + rng.normal(0, jitter_px, 4)
    left, right = _edges(x1, x2, tile.width)
    top, bottom = _edges(y1, y2, tile.height)
    return left, top, right, bottom


def _edges(low: float, high: float, size: int) -> tuple[float, float]:
    first = min(max(low, 0.0), size - _LEAST_PX)
    return round(first, 2), round(min(max(high, first + _LEAST_PX), float(size)), 2)


def _seconds(typical: float, rng: np.random.Generator) -> float:
    return round(typical * float(np.exp(rng.normal(0, _SPREAD))), 1)


def _find_centred(boxes: Boxes, x: int, y: int) -> Boxes:
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - (x, y)
    return boxes[((offset >= 0) & (offset < BINARY_PX)).all(1)]
