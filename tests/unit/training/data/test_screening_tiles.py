"""What a Reg-NS over whole tiles is shown."""

import numpy as np
import pytest

from training.data.crops import CROP_PX, CropBank
from training.data.screening_tiles import CELLS, SIDE_PX, ScreeningTiles

GREY = 120


@pytest.fixture
def bank() -> CropBank:
    """Even grey crops with a dark figure in the middle."""
    pixels = np.full((4, CROP_PX, CROP_PX, 3), GREY, np.uint8)
    pixels[:, 56:72, 56:72] = 20
    return CropBank(pixels, np.asarray(["a", "b", "c", "d"]))


def test_cells_lie_where_the_figures_are(bank: CropBank) -> None:
    tiles = ScreeningTiles(bank, figures=1.0, glass=0.0)
    for seed in range(3):
        pixels, shares = tiles.draw(np.random.default_rng(seed))
        assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
        assert shares.shape == (CELLS, CELLS)
        darkness = 255 - pixels.astype(float).mean(-1).reshape(CELLS, 32, CELLS, 32).mean((1, 3))
        assert np.corrcoef(darkness.ravel(), shares.ravel())[0, 1] > 0.6


def test_covered_figures_and_glass_give_no_share(bank: CropBank) -> None:
    assert not ScreeningTiles(bank, figures=0.0, glass=0.0).draw(np.random.default_rng(1))[1].any()
    for seed in range(8):
        pixels, shares = ScreeningTiles(bank, figures=1.0, glass=1.0).draw(np.random.default_rng(seed))
        bright = pixels.astype(float).mean(-1).reshape(CELLS, 32, CELLS, 32).mean((1, 3)) > 1.5 * GREY
        assert shares[bright].max(initial=0.0) < 0.2


def test_a_draw_depends_on_its_generator_alone(bank: CropBank) -> None:
    tiles = ScreeningTiles(bank, figures=0.5, glass=0.5)
    (a, b), (c, d) = (tiles.draw(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)
