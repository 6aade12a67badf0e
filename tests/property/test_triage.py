"""Triage decides of every place: each lies in the middle of a sub-tile, and no other sub-tile is chosen for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.modelinput import ModelInput
from serving.core.options import ScoringOptions
from serving.scoring.merging import EDGE_MARGIN_UM
from serving.scoring.pipeline import score_slide
from serving.scoring.plan import make_plan
from serving.scoring.triage import MOST_SIDE, choose_sub_tiles, find_owners, find_pieces
from serving.slides.arrayslide import ArraySlide
from tests.fakes import CELL, STRIDE, WINDOW, TriagedDots, make_cards, make_triage_card, tissue

pytestmark = pytest.mark.property
REG_NS = make_cards()[0].input


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_a_place_of_the_slide_lies_in_the_middle_of_one_sub_tile(width: int, height: int, data: st.DataObject) -> None:
    slide = ArraySlide(np.full((height, width, 3), 180, np.uint8), mpp=0.25)
    plan = make_plan(slide, ScoringOptions(min_tissue_fraction=0), REG_NS)
    x, y = (data.draw(st.floats(0, side, exclude_max=True)) for side in (width, height))
    origins = [
        (patch.region.x + column * STRIDE, patch.region.y + row * STRIDE)
        for patch in (tile.patch for tile in plan.tiles)
        for row in range(patch.region.height // STRIDE - 1)
        for column in range(patch.region.width // STRIDE - 1)
    ]
    corners = np.asarray(origins) + (WINDOW - STRIDE) / 2
    within = (corners <= (x, y)) & ((x, y) < corners + STRIDE)
    assert within.all(1).sum() == 1


@given(st.integers(2, 12), st.sampled_from([(250, 125), (128, 64), (64, 32)]), st.sampled_from([8, 16, 32]))
def test_a_cell_belongs_to_the_sub_tile_in_whose_middle_its_centre_lies(
    blocks: int, sides: tuple[int, int], cell: int
) -> None:
    window, stride = sides
    model = ModelInput(window_px=window, stride_px=stride, mpp=0.25, layout="uint8 RGB")
    cells = -(-blocks * stride // cell)
    owners = find_owners(cells, cell, blocks - 1, model)
    for number, owner in enumerate(owners.tolist()):
        centre = (number + 0.5) * cell
        holding = [n for n in range(blocks - 1) if 0 <= centre - n * stride - (window - stride) / 2 < stride]
        assert holding == ([] if owner < 0 else [owner])
    assert set(owners.tolist()) - {-1} == set(range(blocks - 1))


@given(st.integers(2, 10), st.integers(2, 10), st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_each_hot_cell_of_a_middle_is_shown_well_by_a_chosen_sub_tile_that_has_one(
    down: int, across: int, share: float, hidden: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hot = rng.random((-(-down * STRIDE // CELL), -(-across * STRIDE // CELL))) < share
    shown = rng.random((down - 1, across - 1)) >= hidden
    chosen = choose_sub_tiles(hot, shown, CELL, REG_NS)
    rows, columns = (find_owners(n, CELL, few, REG_NS) for n, few in zip(hot.shape, shown.shape, strict=True))
    own = np.zeros_like(shown)
    middles = np.argwhere(chosen) * STRIDE + WINDOW / 2
    for row, column in np.argwhere(hot):
        if rows[row] < 0 or columns[column] < 0 or not shown[rows[row], columns[column]]:
            continue
        own[rows[row], columns[column]] = True
        centre = (np.asarray([row, column]) + 0.5) * CELL
        assert (np.abs(middles - centre).max(1) <= WINDOW / 2 - EDGE_MARGIN_UM / 0.25).any()
    assert not (chosen & ~own).any()


@given(st.integers(0, 2**32 - 1))
def test_with_a_threshold_of_nothing_a_fast_analysis_looks_where_an_exact_one_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = tissue(*(int(n) for n in rng.integers(CELL, 1300, 2)))
    slide = ArraySlide(pixels, mpp=0.25)
    detector = TriagedDots(triage_card=make_triage_card(threshold=0.0))
    exact = score_slide(slide, detector, ScoringOptions(min_tissue_fraction=0))
    fast = score_slide(slide, detector, ScoringOptions(cascade="fast", min_tissue_fraction=0))
    assert np.array_equal(fast.mitosis_map.scores, exact.mitosis_map.scores, equal_nan=True)
    assert fast.report.detections == exact.report.detections


@given(st.integers(1, 10), st.integers(1, 10), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_pieces_hold_all_that_is_chosen_and_cost_no_more_than_each_by_itself(
    rows: int, columns: int, share: float, seed: int
) -> None:
    chosen = np.random.default_rng(seed).random((rows, columns)) < share
    pieces = find_pieces(chosen)
    held = np.zeros_like(chosen)
    for piece in pieces:
        assert 1 <= piece.rows <= MOST_SIDE
        assert 1 <= piece.columns <= MOST_SIDE
        assert 0 <= piece.row <= rows - piece.rows
        assert 0 <= piece.column <= columns - piece.columns
        held[piece.row : piece.row + piece.rows, piece.column : piece.column + piece.columns] = True
    assert held[chosen].all()
    assert sum(piece.blocks for piece in pieces) <= 4 * chosen.sum()
