"""Every sub-tile of a data set with its target: the table that sampling draws from and evaluation counts over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.datasets.store import Box, Picture

PositiveRule = Literal["any", "r_min", "centre"]
WINDOW_PX = 250
STRIDE_PX = 125


@dataclass(frozen=True, slots=True)
class SubTiles:
    """Sub-tiles of labelled pictures and the events in them, a struct of arrays.

    picture : int32, (N,), index into `pictures`; origins : int32, (N, 2), (x, y), level-0 px
    scores : float32, (N,), s_t = sum r_i a_i (paper, "Label post-processing")
    negative : bool, (N,), nothing in it, and nowhere that nobody looked
    ambiguous : bool, (N,), shows a place that too few labelers boxed to count
    Each row of the three arrays below is one event seen in one sub-tile:
    event, sub_tile : int32, (P,); fraction : float32, (P,), r_i, share of the event's box inside
    events : int32, (E, 2), picture and index into its boxes
    """

    pictures: tuple[Picture, ...]
    picture: NDArray[np.int32]
    origins: NDArray[np.int32]
    scores: NDArray[np.float32]
    negative: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]
    event: NDArray[np.int32]
    sub_tile: NDArray[np.int32]
    fraction: NDArray[np.float32]
    events: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.scores)


def sub_tiles_of(pictures: Sequence[Picture]) -> SubTiles:
    """Sub-tiles of 250 px at stride 125 over each labelled picture (paper, "Data post-processing").

    Raises
    ------
    ValueError
        If no picture is labelled and at least a sub-tile large.
    """
    parts, pairs = [], []
    events: list[tuple[int, int]] = []
    total = 0
    for number, picture in enumerate(pictures):
        origins = _lattice(picture.width, picture.height)
        if not picture.labelled or not len(origins):
            continue
        boxes, agreement = picture.boxes(), picture.agreements()
        inside = _fractions(boxes, origins)
        touched = _touching(picture.unlabelled_areas, origins) | (inside > 0).any(0)
        ambiguous = _touching(picture.ambiguous_areas, origins)
        parts.append((np.full(len(origins), number, np.int32), origins, agreement @ inside, ~touched, ambiguous))
        which, where = np.nonzero(inside)
        pairs.append((which + len(events), where + total, inside[which, where]))
        events += [(number, index) for index in range(len(boxes))]
        total += len(origins)
    if not parts:
        raise ValueError(f"no labelled picture of at least {WINDOW_PX} px among {len(pictures)}")
    picture_of, origins, scores, negative, ambiguous = (np.concatenate(column) for column in zip(*parts, strict=True))
    event, sub_tile, fraction = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return SubTiles(
        tuple(pictures),
        picture_of,
        origins,
        scores.astype(np.float32),
        negative,
        ambiguous,
        event.astype(np.int32),
        sub_tile.astype(np.int32),
        fraction.astype(np.float32),
        np.asarray(events, np.int32).reshape(-1, 2),
    )


def _lattice(width: int, height: int) -> NDArray[np.int32]:
    """Origins (x, y) of the sub-tiles that fit, row by row; 49 for a tile of 1,000 px."""
    x, y = (np.arange(0, side - WINDOW_PX + 1, STRIDE_PX, dtype=np.int32) for side in (width, height))
    grid = np.stack(np.meshgrid(x, y), -1)
    return grid.astype(np.int32).reshape(-1, 2)


def _fractions(boxes: NDArray[np.float32], origins: NDArray[np.int32]) -> NDArray[np.float32]:
    """Share of each box's area inside each sub-tile. (B, 4), (N, 2) -> float32, (B, N)."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    inside = np.minimum(high, origins + WINDOW_PX) - np.maximum(low, origins)
    area = np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1e-6)[:, None]
    fractions: NDArray[np.float32] = (np.prod(inside.clip(0), axis=2) / area).astype(np.float32)
    return fractions


def _touching(areas: Sequence[Box], origins: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Sub-tiles that show some of any area, bool, (N,)."""
    shown = _fractions(np.asarray(areas, np.float32).reshape(-1, 4), origins) > 0
    return np.asarray(shown.any(0), np.bool_)


def positives(table: SubTiles, rule: PositiveRule, *, r_min: float = 0.5) -> NDArray[np.bool_]:
    """Which sub-tiles count as mitotic, bool, shape (N,).

    any : some of a box is inside (s_t > 0, as the paper trains); r_min : at least that share of a box;
    centre : a box's centre (what the paper's test counts fit, so the default of evaluation)
    """
    if rule == "centre":
        boxes = [p.boxes() for p in table.pictures]
        centres = np.asarray([(boxes[p][i][:2] + boxes[p][i][2:]) / 2 for p, i in table.events]).reshape(-1, 2)
        offset = centres[table.event] - table.origins[table.sub_tile]
        hit = ((offset >= 0) & (offset < WINDOW_PX)).all(1)
    else:
        hit = table.fraction >= r_min if rule == "r_min" else table.fraction > 0
    result = np.zeros(len(table), bool)
    result[table.sub_tile[hit]] = True
    return result
