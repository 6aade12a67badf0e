"""Where a cascade looks at all: at the sub-tiles in whose middle a light net finds that a figure may be."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.core.modelinput import ModelInput
from serving.scoring.batch_sizes import GPU_PROVIDERS
from serving.scoring.detector import Detector, TriagedDetector
from serving.scoring.merging import EDGE_MARGIN_UM

LOOK = "cover-in-pieces-then-doubts"
"""Names how sub-tiles are chosen and shown to Reg-NS, and which later: where results change with it, those of fast analyses are told apart by it."""
MOST_PIECES = 0.8
"""Share of a tile's blocks of a stride up to which Reg-NS is shown pieces of it and not the whole. What is added for each call and each
edge is on the tile's side."""
MOST_SIDE = 3
"""Sub-tiles along a side of a piece, at most. So there are nine shapes at all: a graph is prepared anew for each."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring sub-tiles of a tile that Reg-NS is shown in one: `rows` by `columns`, from sub-tile (`row`, `column`) on."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def blocks(self) -> int:
        """Squares of a stride in it, which its arithmetic grows with; a sub-tile by itself has 4."""
        return (self.rows + 1) * (self.columns + 1)


def triage_tiles(
    detector: TriagedDetector,
    tiles: NDArray[np.uint8],
    shown: NDArray[np.bool_],
    threshold: float,
    model: ModelInput,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the light net says of each sub-tile, and those at which the cascade shall look.

    It says the highest probability of a cell whose centre lies in the middle of the sub-tile. The middle is its central square of a
    stride; the middles of neighbours touch, so that a centre lies in one.

    tiles : uint8, shape (N, H, W, 3), H and W multiples of the stride; model : what Reg-NS is fed
    shown : bool, shape (N, H / stride - 1, W / stride - 1), whether a sub-tile shows any of the slide
    threshold : probability of a cell from which a sub-tile has to show it
    -> float32 and bool, of that shape
    """
    card = detector.triage_card
    if card is None or card.input.stride_px > model.stride_px:
        raise ValueError("there is no triage model whose cells are at most as large as a sub-tile's middle")
    side = card.input.stride_px
    cells = detector.triage(pad_to_cells(tiles, side))
    light = take_middles(cells, side, tiles.shape[1:3], model)
    few = [choose_sub_tiles(*pair, side, model) for pair in zip(cells >= threshold, shown, strict=True)]
    return light, np.stack(few)


def choose_sub_tiles(
    hot: NDArray[np.bool_], shown: NDArray[np.bool_], side: int, model: ModelInput
) -> NDArray[np.bool_]:
    """Few sub-tiles of a tile that together show each hot cell well: its centre lies `EDGE_MARGIN_UM` inside of one of them.

    Only sub-tiles that have a hot cell in their own middle are chosen. Time and again that one is taken which shows the most hot
    cells that none has shown yet, the first one row by row where two show as many (greedy set cover).

    hot : bool, shape (cells down, cells across). shown : bool, shape (rows, columns), see `triage_tiles`
    -> bool, the shape of `shown`
    """
    owners = [find_owners(count, side, few, model) for count, few in zip(hot.shape, shown.shape, strict=True)]
    own = np.zeros_like(shown)
    left = hot & (owners[0] >= 0)[:, None] & (owners[1] >= 0)
    rows, columns = np.nonzero(left)
    own[owners[0][rows], owners[1][columns]] = True
    own &= shown
    left[rows, columns] = own[owners[0][rows], owners[1][columns]]
    down, across = (_find_seen(count, side, few, model) for count, few in zip(hot.shape, shown.shape, strict=True))
    chosen = np.zeros_like(shown)
    while left.any():
        held = np.where(own, down @ left.astype(np.int64) @ across.T, 0)
        row, column = np.unravel_index(held.argmax(), held.shape)
        chosen[row, column] = True
        left &= ~(down[row].astype(np.bool_)[:, None] & across[column].astype(np.bool_))
    return chosen


def _find_seen(cells: int, side: int, sub_tiles: int, model: ModelInput) -> NDArray[np.int64]:
    """1 where a sub-tile shows the centre of a cell well, along one axis. -> int64, shape (sub_tiles, cells)."""
    centres = (np.arange(cells) + 0.5) * side
    middles = np.arange(sub_tiles) * model.stride_px + model.window_px / 2
    # At the least what lies in its own middle, of a model with small windows.
    reach = max(model.window_px / 2 - EDGE_MARGIN_UM / model.mpp, model.stride_px / 2)
    return np.asarray(np.abs(centres - middles[:, None]) <= reach, np.int64)


def pad_to_cells(tiles: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Tiles, uint8, shape (N, H, W, 3), mirrored beyond the right and the lower edge so that they are of whole cells."""
    down, across = (-length % side for length in tiles.shape[1:3])
    return np.pad(tiles, ((0, 0), (0, down), (0, across), (0, 0)), mode="symmetric")


def take_middles(
    probabilities: NDArray[np.float32], side: int, shape: tuple[int, ...], model: ModelInput
) -> NDArray[np.float32]:
    """Of the cells of tiles, the highest probability in the middle of each sub-tile; see `triage_tiles`.

    probabilities : float32, shape (N, rows, columns), cells of `side` px. shape : H and W of the tiles
    """
    for axis in (1, 2):
        owners = find_owners(probabilities.shape[axis], side, shape[axis - 1] // model.stride_px - 1, model)
        of_middles = np.compress(owners >= 0, probabilities, axis)
        starts = np.flatnonzero(np.diff(owners[owners >= 0], prepend=-1))
        probabilities = np.maximum.reduceat(of_middles, starts, axis)
    return probabilities


def find_owners(cells: int, side: int, sub_tiles: int, model: ModelInput) -> NDArray[np.int64]:
    """The sub-tile, along one axis, in whose middle the centre of each cell lies; -1 where there is none.

    cells, sub_tiles : how many there are along the axis, both from the same origin
    -> int64, shape (cells,)
    """
    centres = (np.arange(cells) + 0.5) * side
    found = np.floor((centres - (model.window_px - model.stride_px) / 2) / model.stride_px).astype(np.int64)
    return np.where((found >= 0) & (found < sub_tiles), found, -1)


def screen_chosen(
    detector: Detector,
    tiles: NDArray[np.uint8],
    chosen: NDArray[np.bool_],
    shown: NDArray[np.bool_],
    model: ModelInput,
) -> NDArray[np.float32]:
    """The scores of Reg-NS of chosen sub-tiles, NaN elsewhere.

    Tiles of which few are chosen are not screened whole but in pieces: see `find_pieces` and `MOST_PIECES`. One of which all that is
    shown is chosen is, so that its scores are those of an exact analysis.

    tiles : uint8, shape (N, H, W, 3)
    chosen, shown : bool, shape (N, H / stride - 1, W / stride - 1); whether a sub-tile shows any of the slide
    -> float32, the shape of `chosen`
    """
    scores = np.full(chosen.shape, np.nan, np.float32)
    # A GPU fills up each batch of a shape; one shape is then computed with the fewest blank windows.
    side = 1 if detector.provider in GPU_PROVIDERS else MOST_SIDE
    most = MOST_PIECES * (chosen.shape[1] + 1) * (chosen.shape[2] + 1)
    pieces = [find_pieces(of_tile, side) for of_tile in chosen]
    whole = np.asarray([sum(piece.blocks for piece in of_tile) > most for of_tile in pieces])
    whole |= (chosen == shown).all((1, 2))
    if whole.any():
        found = detector.screen(tiles if whole.all() else tiles[whole])
        scores[whole] = np.where(chosen[whole], found, np.float32(np.nan))
    by_shape: dict[tuple[int, int], list[tuple[int, Piece]]] = {}
    for number in np.flatnonzero(~whole).tolist():
        for piece in pieces[number]:
            by_shape.setdefault((piece.rows, piece.columns), []).append((number, piece))
    for alike in by_shape.values():
        found = detector.screen(np.stack([_cut(tiles[number], piece, model) for number, piece in alike]))
        for (number, piece), of_piece in zip(alike, found, strict=True):
            place = number, slice(piece.row, piece.row + piece.rows), slice(piece.column, piece.column + piece.columns)
            scores[place] = np.where(chosen[place], of_piece, np.float32(np.nan))
    return scores


def find_pieces(chosen: NDArray[np.bool_], most: int = MOST_SIDE) -> list[Piece]:
    """Rectangles of sub-tiles that hold all chosen ones, with little between them.

    A square of 250 px has 4 blocks of 125 px, two neighbours share 2 of 6. Time and again the rectangle is taken that costs the
    fewest blocks for each chosen sub-tile that none has yet (greedy weighted set cover, Chvatal 1979), the smaller one where two
    cost the same. Together they cost no more than each sub-tile by itself.

    chosen : bool, shape (rows, columns); most : sub-tiles along a side
    """
    left, pieces = chosen.copy(), list[Piece]()
    shapes = sorted(itertools.product(range(1, most + 1), repeat=2), key=lambda shape: (shape[0] * shape[1], shape))
    while left.any():
        best: tuple[float, Piece] | None = None
        # Sums over any rectangle, from four of these.
        sums = np.zeros((left.shape[0] + 1, left.shape[1] + 1), np.int64)
        sums[1:, 1:] = left.cumsum(0).cumsum(1)
        for rows, columns in shapes:
            if rows > left.shape[0] or columns > left.shape[1]:
                continue
            held = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns] + sums[:-rows, :-columns]
            row, column = np.unravel_index(held.argmax(), held.shape)
            piece = Piece(int(row), int(column), rows, columns)
            cost = piece.blocks / max(int(held[row, column]), 1)
            if best is None or cost < best[0]:
                best = cost, piece
        if best is None:
            break
        pieces.append(best[1])
        left[best[1].row : best[1].row + best[1].rows, best[1].column : best[1].column + best[1].columns] = False
    return pieces


def _cut(tile: NDArray[np.uint8], piece: Piece, model: ModelInput) -> NDArray[np.uint8]:
    """The pixels of a piece of a tile."""
    top, left = piece.row * model.stride_px, piece.column * model.stride_px
    added = model.window_px - model.stride_px
    height, width = piece.rows * model.stride_px + added, piece.columns * model.stride_px + added
    return tile[top : top + height, left : left + width]
