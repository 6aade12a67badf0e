import numpy as np
import pytest

from training.data.augmentation import dihedral, photometric


@pytest.mark.parametrize("k", range(8))
def test_boxes_move_with_their_pixels(k: int) -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:30, 50:75] = 255
    moved, boxes = dihedral(pixels, np.asarray([[50, 20, 75, 30]], np.float32), k)
    rows, columns = np.nonzero(moved[..., 0])
    assert boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_the_eight_symmetries_differ() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    seen = {dihedral(pixels, np.empty((0, 4), np.float32), k)[0].tobytes() for k in range(8)}
    assert len(seen) == 8


def test_photometric_depends_on_the_generator_alone_and_keeps_colours_in_order() -> None:
    tissue = np.full((64, 64, 3), (180, 90, 160), np.uint8)
    a, b = (photometric(tissue, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a, b)
    for seed in range(30):
        red, green, blue = photometric(tissue, np.random.default_rng(seed)).reshape(-1, 3).mean(0)
        assert green < blue
        assert green < red
