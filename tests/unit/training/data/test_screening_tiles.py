"""What a Reg-NS over whole tiles is shown."""

import numpy as np
import pytest

from training.data.crops import CROP_PX, CropBank
from training.data.fields import Field
from training.data.screening_tiles import CELLS, SIDE_PX, ScreeningTiles, crop_parts, field_parts

GREY = 120


@pytest.fixture
def bank() -> CropBank:
    """Even grey crops with a dark figure in the middle."""
    pixels = np.full((4, CROP_PX, CROP_PX, 3), GREY, np.uint8)
    pixels[:, 56:72, 56:72] = 20
    return CropBank(pixels, np.asarray(["a", "b", "c", "d"]))


def test_cells_lie_where_the_figures_are(bank: CropBank) -> None:
    tiles = ScreeningTiles([(1.0, crop_parts(bank, 1.0))], glass=0.0)
    for seed in range(3):
        pixels, shares = tiles.draw(np.random.default_rng(seed))
        assert pixels.shape == (SIDE_PX, SIDE_PX, 3)
        assert shares.shape == (CELLS, CELLS)
        darkness = 255 - pixels.astype(float).mean(-1).reshape(CELLS, 32, CELLS, 32).mean((1, 3))
        assert np.corrcoef(darkness.ravel(), shares.ravel())[0, 1] > 0.6


def test_covered_figures_and_glass_give_no_share(bank: CropBank) -> None:
    assert not ScreeningTiles([(1.0, crop_parts(bank, 0.0))], glass=0.0).draw(np.random.default_rng(1))[1].any()
    for seed in range(4):
        pixels, shares = ScreeningTiles([(1.0, crop_parts(bank, 1.0))], glass=1.0).draw(np.random.default_rng(seed))
        bright = pixels.astype(float).mean(-1).reshape(CELLS, 32, CELLS, 32).mean((1, 3)) > 1.5 * GREY
        assert shares[bright].max(initial=0.0) < 0.2


def test_a_draw_depends_on_its_generator_alone(bank: CropBank) -> None:
    tiles = ScreeningTiles([(1.0, crop_parts(bank, 0.5))], glass=0.5)
    (a, b), (c, d) = (tiles.draw(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, d)


def test_parts_of_fields_show_their_figures_and_nothing_that_nobody_agreed_on() -> None:
    pixels = np.full((1200, 1400, 3), GREY, np.uint8)
    pixels[600:640, 700:740] = 20
    pixels[100:200, 100:200] = 255
    box, shunned = (np.asarray([b], np.float32) for b in ([700, 600, 740, 640], [100, 100, 200, 200]))
    around, anywhere = field_parts([Field("f", "S", 0.25, pixels, box, shunned)])
    for seed in range(12):
        part, shares = ScreeningTiles([(1.0, around)], glass=0.0).draw(np.random.default_rng(seed))
        assert part.shape == (SIDE_PX, SIDE_PX, 3)
        assert shares.sum() == pytest.approx(1, abs=0.01)
        darkness = 255 - part.astype(float).mean(-1).reshape(CELLS, 32, CELLS, 32).mean((1, 3))
        assert np.unravel_index(darkness.argmax(), darkness.shape) == np.unravel_index(shares.argmax(), shares.shape)
        window = anywhere(np.random.default_rng(seed))
        assert window.pixels.max() < 255
        assert window.pixels.shape == (SIDE_PX, SIDE_PX, 3)


def test_fields_in_which_every_part_is_shunned_are_refused() -> None:
    everything = np.asarray([[0, 0, 1400, 1200]], np.float32)
    field = Field("f", "S", 0.25, np.full((1200, 1400, 3), GREY, np.uint8), everything, everything)
    for source in field_parts([field]):
        with pytest.raises(ValueError, match="touched what nobody looked at"):
            source(np.random.default_rng(1))
