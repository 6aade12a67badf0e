"""Tiles are taken where cells are first, and the order shows in no result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.scoring.cascade import CascadeRunner
from serving.scoring.merging import SubTileBoxes
from serving.scoring.order import CHUNK_TILES, order_hot_first
from serving.scoring.plan import PlannedTile, make_plan
from serving.scoring.reading import ReadClock, read_ahead
from serving.scoring.tile_findings import TileFindings
from serving.scoring.tiling import TILE_PX, find_patch
from serving.scoring.tissue import TissueMask
from serving.slides.arrayslide import ArraySlide
from tests.fakes import STRIDE, WINDOW, TriagedDots, make_cards, plant, tissue

pytestmark = pytest.mark.property
REG_NS = make_cards()[0].input
ELEMENTS = 4
"""Of the mask along a tile's side."""


def _slide() -> ArraySlide:
    """Three times three tiles, one without tissue, so that neighbours take its sub-tiles over."""
    pixels = tissue(2700, 2600)
    pixels[1000:2000, 1000:2000] = 245
    for x, y in ((300, 400), (1000, 1000), (1990, 500), (950, 1500), (2600, 2500), (2010, 1990)):
        plant(pixels, x, y)
    return ArraySlide(pixels, mpp=0.25)


SLIDE = _slide()
PLAN = make_plan(SLIDE, ScoringOptions(), REG_NS)


def _run(turns: list[PlannedTile], triage: float | None) -> tuple[SubTileBoxes, list[TileFindings]]:
    runner = CascadeRunner(
        TriagedDots(), 0.05, lambda origins: np.ones(len(origins), np.bool_), triage_threshold=triage
    )
    with read_ahead(SLIDE, PLAN.frame, turns, ReadClock()) as patches:
        return runner.run(patches, lambda: None), runner.tiles


@settings(max_examples=10, deadline=None)
@given(st.permutations(PLAN.tiles), st.sampled_from([None, 0.2]))
def test_whatever_the_order_the_boxes_are_the_same(turns: list[PlannedTile], triage: float | None) -> None:
    (usual, tiles), (other, others) = _run(PLAN.tiles, triage), _run(turns, triage)
    assert [tile.patch for tile in others] == [tile.patch for tile in tiles]
    for name in ("sub_tile", "origins", "origin_scores"):
        assert np.array_equal(getattr(other, name), getattr(usual, name))
    assert np.array_equal(other.detections.boxes, usual.detections.boxes)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_every_tile_has_one_turn(columns: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 250, (rows, columns, 1), np.uint8)
    tiles, mask = _grid(coarse)
    turns = order_hot_first(tiles, mask)
    assert sorted(tile.cell for tile in turns) == sorted(tile.cell for tile in tiles)
    assert order_hot_first(tiles, mask) == turns
    for start in range(0, len(turns), CHUNK_TILES):
        cells = [tile.cell[::-1] for tile in turns[start : start + CHUNK_TILES]]
        assert cells == sorted(cells)


def test_the_chunk_around_the_darkest_place_is_first() -> None:
    light = np.full((30, 30, 1), 220, np.uint8)
    light[20:25, 4:9] = 120
    tiles, mask = _grid(light)
    first = {tile.cell for tile in order_hot_first(tiles, mask)[:CHUNK_TILES]}
    assert {(column, row) for column in range(4, 9) for row in range(20, 25)} <= first


def _grid(light: NDArray[np.uint8]) -> tuple[list[PlannedTile], TissueMask]:
    """Tiles of a slide that is all tissue, of which each lets so much light pass: uint8, shape (rows, columns, 1)."""
    overview = light.repeat(ELEMENTS, 0).repeat(ELEMENTS, 1).repeat(3, 2)
    everywhere, step = np.ones(overview.shape[:2], np.bool_), TILE_PX / ELEMENTS
    rows, columns = light.shape[:2]
    cells = [(column, row) for row in range(rows) for column in range(columns)]
    tiles = [
        PlannedTile(
            (column, row),
            Region(column * TILE_PX, row * TILE_PX, TILE_PX, TILE_PX),
            1.0,
            find_patch((column, row), set(cells), STRIDE, WINDOW),
        )
        for column, row in cells
    ]
    return tiles, TissueMask(everywhere, everywhere, overview, step, step, 0.25 * step)
