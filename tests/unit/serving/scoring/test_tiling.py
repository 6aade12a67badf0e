import pytest

from serving.core.geometry import Region
from serving.scoring.tiling import TileGrid, find_patch


def test_the_grid_is_a_sequence_row_by_row() -> None:
    grid = TileGrid(2500, 1001)
    assert (grid.columns, grid.rows, len(grid)) == (3, 2, 6)
    assert grid[4] == Region(1000, 1000, 1000, 1000)
    assert grid[-1] == grid[5] == Region(2000, 1000, 1000, 1000)
    assert grid[1:3] == [grid[1], grid[2]]
    assert list(grid.cells())[3] == (0, 1)
    with pytest.raises(IndexError):
        grid[6]
    with pytest.raises(IndexError):
        grid[-7]


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (1000, 1000)])
def test_slides_up_to_a_tile_have_one(size: tuple[int, int]) -> None:
    assert list(TileGrid(*size)) == [Region(0, 0, 1000, 1000)]


def test_a_lone_tile_reads_a_block_all_around() -> None:
    patch = find_patch((2, 1), {(2, 1)}, 125, 250)
    assert patch.region == Region(1875, 875, 1250, 1250)
    assert (patch.first_row, patch.first_column) == (7, 15)


def test_seams_belong_to_the_left_and_upper_neighbour_if_it_is_scored() -> None:
    patch = find_patch((2, 1), {(2, 1), (1, 1), (2, 0)}, 125, 250)
    assert patch.region == Region(2000, 1000, 1125, 1125)


@pytest.mark.parametrize("missing", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_sub_tiles_over_a_corner_of_four_tiles_are_scored_whichever_is_missing(missing: tuple[int, int]) -> None:
    scored = {(0, 0), (1, 0), (0, 1), (1, 1)} - {missing}
    covered = set()
    for cell in scored:
        patch = find_patch(cell, scored, 125, 250)
        rows, columns = patch.region.height // 125 - 1, patch.region.width // 125 - 1
        covered |= {(patch.first_row + i, patch.first_column + j) for i in range(rows) for j in range(columns)}
    # The sub-tile whose corner is at (875, 875) reaches into all four.
    assert (7, 7) in covered
    for column, row in scored:
        assert {(row * 8 + i, column * 8 + j) for i in range(-1, 8) for j in range(-1, 8)} <= covered
