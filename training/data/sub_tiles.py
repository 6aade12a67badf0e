"""Every sub-tile of a data set with its target and its pixels: the table that sampling draws from and evaluation counts over."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.datasets.flat_tiff import FlatTiff
from serving.datasets.pictures import open_picture
from serving.datasets.store import Box, Picture
from serving.slides.arrayslide import ArraySlide
from serving.slides.slide import Slide

PositiveRule = Literal["any", "r_min", "centre"]
WINDOW_PX = 250
STRIDE_PX = 125


@dataclass(frozen=True, slots=True)
class SubTileTable:
    """Sub-tiles of labelled pictures and the events in them, a struct of arrays.

    picture : int32, (N,), index into `pictures`; origins : int32, (N, 2), (x, y), level-0 px
    scores : float32, (N,), s_t = sum r_i a_i (paper, "Label post-processing")
    negative : bool, (N,), nothing in it, and nowhere that nobody looked
    ambiguous : bool, (N,), shows a place that too few labelers boxed to count
    hard : bool, (N,), negative and with most of a labelled look-alike in it
    Each row of the three arrays below is one event seen in one sub-tile, in the order of sub-tiles:
    event, sub_tile : int32, (P,); fraction : float32, (P,), r_i, share of the event's box inside
    boxes : float32, (E, 4), xyxy, level-0 px, and agreement : float32, (E,), of each event
    """

    pictures: tuple[Picture, ...]
    picture: NDArray[np.int32]
    origins: NDArray[np.int32]
    scores: NDArray[np.float32]
    negative: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]
    hard: NDArray[np.bool_]
    event: NDArray[np.int32]
    sub_tile: NDArray[np.int32]
    fraction: NDArray[np.float32]
    boxes: NDArray[np.float32]
    agreement: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def events_in(self, index: int) -> slice:
        """Rows of `event` and `fraction` that tell of a sub-tile."""
        first, past = np.searchsorted(self.sub_tile, [index, index + 1])
        return slice(int(first), int(past))


def make_sub_tiles(pictures: Sequence[Picture], *, around_labels: bool = False) -> SubTileTable:
    """Sub-tiles of 250 px at stride 125 over each labelled picture (paper, "Data post-processing").

    around_labels : where somebody has looked at parts of a picture only, further ones in the middle of which is what is
        labelled there, unless they show more than was looked at. A square of 64 um that a reviewer saw holds one of 62.5 um, but
        hardly ever one of the lattice

    Raises
    ------
    ValueError
        If no picture is labelled and at least a sub-tile large.
    """
    parts = [
        _Part.from_picture(number, picture, around_labels=around_labels)
        for number, picture in enumerate(pictures)
        if picture.labelled and min(picture.width, picture.height) >= WINDOW_PX
    ]
    if not parts:
        raise ValueError(f"no labelled picture of at least {WINDOW_PX} px among {len(pictures)}")
    tiles_before = np.cumsum([0, *(len(p.origins) for p in parts)])
    events_before = np.cumsum([0, *(len(p.boxes) for p in parts)])
    sub_tile = np.concatenate([p.seen.sub_tile + n for p, n in zip(parts, tiles_before, strict=False)])
    event = np.concatenate([p.seen.box + n for p, n in zip(parts, events_before, strict=False)])
    fraction = np.concatenate([p.seen.fraction for p in parts])
    order = np.argsort(sub_tile, kind="stable")
    agreement = np.concatenate([p.agreement for p in parts])
    return SubTileTable(
        pictures=tuple(pictures),
        picture=np.concatenate([np.full(len(p.origins), p.number, np.int32) for p in parts]),
        origins=np.concatenate([p.origins for p in parts]),
        scores=np.bincount(sub_tile, fraction * agreement[event], int(tiles_before[-1])).astype(np.float32),
        negative=np.concatenate([p.negative for p in parts]),
        ambiguous=np.concatenate([p.ambiguous for p in parts]),
        hard=np.concatenate([p.hard for p in parts]),
        event=event[order].astype(np.int32),
        sub_tile=sub_tile[order].astype(np.int32),
        fraction=fraction[order],
        boxes=np.concatenate([p.boxes for p in parts]),
        agreement=agreement,
    )


@dataclass(frozen=True, slots=True)
class _VisibleBoxes:
    """One row a box and sub-tile that share some area: indices of both and the share of the box inside."""

    box: NDArray[np.intp]
    sub_tile: NDArray[np.intp]
    fraction: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Part:
    """The sub-tiles of one picture."""

    number: int
    origins: NDArray[np.int32]
    boxes: NDArray[np.float32]
    agreement: NDArray[np.float32]
    seen: _VisibleBoxes
    negative: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]
    hard: NDArray[np.bool_]

    @classmethod
    def from_picture(cls, number: int, picture: Picture, *, around_labels: bool) -> "_Part":
        boxes, alike = picture.boxes(), picture.boxes("look-alike")
        grid = _Grid.from_picture(picture, np.concatenate([boxes, alike]) if around_labels else boxes[:0])
        seen, other = grid.find_visible_boxes(boxes), grid.find_visible_boxes(alike)
        negative = ~grid.mark(seen.sub_tile) & ~grid.touching(picture.unlabelled_areas)
        ambiguous = grid.touching(picture.ambiguous_areas)
        hard = grid.mark(other.sub_tile[other.fraction > 0.5]) & negative
        return cls(number, grid.origins, boxes, picture.agreements(), seen, negative, ambiguous, hard)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The sub-tiles of a picture: the lattice of `columns` x `rows`, row by row, and behind it those around labels.

    origins : int32, (N, 2), (x, y), of all of them
    """

    columns: int
    rows: int
    origins: NDArray[np.int32]

    @classmethod
    def from_picture(cls, picture: Picture, around: NDArray[np.float32]) -> "_Grid":
        """The sub-tiles of a picture.

        around : float32, (M, 4), xyxy, boxes to have in the middle of one where only parts were looked at
        """
        xs, ys = _starts(picture.width), _starts(picture.height)
        lattice = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
        if not picture.unlabelled_areas or not len(around):
            return cls(len(xs), len(ys), lattice)
        corner = np.rint((around[:, :2] + around[:, 2:] - WINDOW_PX) / 2)
        middle = corner.clip(0, (picture.width - WINDOW_PX, picture.height - WINDOW_PX)).astype(np.int32)
        whole = np.asarray([not _shares(at, picture.unlabelled_areas).any() for at in middle], np.bool_)
        return cls(len(xs), len(ys), np.concatenate([lattice, np.unique(middle[whole], axis=0)]))

    def find_visible_boxes(self, boxes: NDArray[np.float32]) -> _VisibleBoxes:
        """Which of the sub-tiles hold some of which box."""
        lattice, first = _find_visible_boxes(boxes, self.columns, self.rows), self.columns * self.rows
        shares = [_shares(origin, boxes) for origin in self.origins[first:]]
        held = [np.flatnonzero(share) for share in shares]
        return _VisibleBoxes(
            np.concatenate([lattice.box, *held]),
            np.concatenate([lattice.sub_tile, *(np.full(len(h), first + i, np.intp) for i, h in enumerate(held))]),
            np.concatenate([lattice.fraction, *(share[h] for share, h in zip(shares, held, strict=True))]),
        )

    def touching(self, areas: Sequence[Box]) -> NDArray[np.bool_]:
        """Which of the sub-tiles show some of any area, bool, (N,)."""
        return self.mark(self.find_visible_boxes(np.asarray(areas, np.float32).reshape(-1, 4)).sub_tile)

    def mark(self, sub_tiles: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of the sub-tiles these are, bool, (N,)."""
        marks = np.zeros(len(self.origins), np.bool_)
        marks[sub_tiles] = True
        return marks


def _shares(origin: NDArray[np.int32], boxes: Sequence[Box] | NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of each box inside the sub-tile at `origin`, float32, (M,)."""
    sides = np.asarray(boxes, np.float32).reshape(-1, 4)
    inside = np.minimum(sides[:, 2:], origin + WINDOW_PX) - np.maximum(sides[:, :2], origin)
    area = (sides[:, 2:] - sides[:, :2]).clip(1e-6).prod(1)
    return np.asarray(inside.clip(0).prod(1) / area, np.float32)


def _starts(side: int) -> NDArray[np.int32]:
    """Where sub-tiles start along a side; 7 on a tile of 1,000 px."""
    return np.arange(0, side - WINDOW_PX + 1, STRIDE_PX, dtype=np.int32)


def _find_visible_boxes(boxes: NDArray[np.float32], columns: int, rows: int) -> _VisibleBoxes:
    """Which of the sub-tiles, row by row, hold some of which box.

    A box touches few of a slide's sub-tiles: those are counted out from its corners, so that time and memory follow the
    number of boxes.
    """
    box, sub_tile, fraction = [np.empty(0, np.intp)], [np.empty(0, np.intp)], [np.empty(0, np.float32)]
    for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        across, down = _overlaps(x1, x2, columns), _overlaps(y1, y2, rows)
        shares = np.outer(down.share, across.share).ravel()
        places = np.add.outer(down.places() * columns, across.places()).ravel()
        held = shares > 0
        box.append(np.full(int(held.sum()), number, np.intp))
        sub_tile.append(places[held])
        fraction.append(shares[held].astype(np.float32))
    return _VisibleBoxes(np.concatenate(box), np.concatenate(sub_tile), np.concatenate(fraction))


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """Along one side: share of a box's length inside each of the sub-tiles from `first` on."""

    first: int
    share: NDArray[np.float64]

    def places(self) -> NDArray[np.intp]:
        """Numbers of those sub-tiles."""
        return self.first + np.arange(len(self.share))


def _overlaps(low: float, high: float, count: int) -> _Overlaps:
    first = min(max(int((low - WINDOW_PX) // STRIDE_PX), 0), count)
    past = max(min(int(high // STRIDE_PX) + 1, count), first)
    starts = np.arange(first, past) * STRIDE_PX
    inside = (np.minimum(high, starts + WINDOW_PX) - np.maximum(low, starts)).clip(0)
    return _Overlaps(first, inside / max(high - low, 1e-6))


def positives(table: SubTileTable, rule: PositiveRule, *, r_min: float = 0.5) -> NDArray[np.bool_]:
    """Which sub-tiles count as mitotic, bool, shape (N,).

    any : some of a box is inside (s_t > 0, as the paper trains); r_min : at least that share of a box;
    centre : a box's centre (what the paper's test counts fit, so the default of evaluation)
    """
    if rule == "centre":
        centres = (table.boxes[:, :2] + table.boxes[:, 2:]) / 2
        offset = centres[table.event] - table.origins[table.sub_tile]
        hit = ((offset >= 0) & (offset < WINDOW_PX)).all(1)
    else:
        hit = table.fraction >= r_min if rule == "r_min" else table.fraction > 0
    result = np.zeros(len(table), bool)
    result[table.sub_tile[hit]] = True
    return result


MEMORY_PX = 2**28
"""Px of decoded pictures and strips that a process keeps, 3 bytes each; whole-slide images are not decoded and count as 1 Mpx."""
_IN_FILE_PX = 2**20

_open: "OrderedDict[tuple[int, Path], Slide]" = OrderedDict()
"""Pictures by process and path, that used last at the end: a forked process must not read through its parent's files."""


def read_sub_tile(root: Path, table: SubTileTable, index: int) -> NDArray[np.uint8]:
    """Pixels of a sub-tile, uint8, shape (250, 250, 3); outside the picture is white."""
    x, y = (int(v) for v in table.origins[index])
    slide = _open_cached(root / table.pictures[table.picture[index]].path)
    return slide.read(Region(x, y, WINDOW_PX, WINDOW_PX), WINDOW_PX, WINDOW_PX)


def _open_cached(path: Path) -> Slide:
    """A picture, kept open until others need its memory."""
    key = (os.getpid(), path)
    slide = _open.get(key)
    if slide is None:
        slide = _open[key] = open_picture(path, strip_bytes=3 * MEMORY_PX)
    _open.move_to_end(key)
    while len(_open) > 1 and sum(_px(other) for other in _open.values()) > MEMORY_PX:
        _open.popitem(last=False)[1].close()
    return slide


def _px(slide: Slide) -> int:
    if isinstance(slide, FlatTiff):
        return slide.kept_bytes // 3
    return slide.width * slide.height if isinstance(slide, ArraySlide) else _IN_FILE_PX
