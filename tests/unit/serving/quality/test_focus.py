import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from serving.quality.focus import PARTS, find_blur, measure_structure
from tests.fields import draw_field

BLOCK = 125


@pytest.fixture(scope="module")
def sharp() -> NDArray[np.uint8]:
    return draw_field(seed=3, width=8 * BLOCK, height=8 * BLOCK).pixels


def _blur(pixels: NDArray[np.uint8], px: float, *, contrast: float = 1.0) -> NDArray[np.uint8]:
    """Out of focus by `px`, then through a noisy sensor."""
    light = ndimage.gaussian_filter(pixels.astype(np.float64), (px, px, 0))
    noise = np.random.default_rng(0).normal(0, 1.5, light.shape)
    return np.clip(128 + contrast * (light - 128) + noise, 0, 255).astype(np.uint8)


def _share(pixels: NDArray[np.uint8]) -> float:
    blurred, _ = find_blur(measure_structure(pixels, BLOCK))
    return float(blurred.mean())


@pytest.mark.parametrize("px", [6, 8, 10, 12])
def test_a_picture_that_is_blurred_throughout_is_found(sharp: NDArray[np.uint8], px: float) -> None:
    assert _share(_blur(sharp, px)) > 0.95


@pytest.mark.parametrize("px", [0, 1, 2])
def test_what_a_lens_does_is_no_blur(sharp: NDArray[np.uint8], px: float) -> None:
    assert _share(_blur(sharp, px)) == 0


def test_contrast_says_nothing_of_focus(sharp: NDArray[np.uint8]) -> None:
    assert _share(_blur(sharp, 0.5, contrast=0.4)) == 0
    assert _share(_blur(sharp, 8, contrast=0.7)) > 0.95


def test_the_border_of_a_blurred_place_is_found(sharp: NDArray[np.uint8]) -> None:
    half = sharp.copy()
    half[:, 4 * BLOCK :] = _blur(sharp, 8)[:, 4 * BLOCK :]
    blurred, _ = find_blur(measure_structure(half, BLOCK))
    assert blurred[:, 4 * PARTS + 1 :].mean() > 0.95
    assert blurred[:, : 4 * PARTS - 1].mean() < 0.02


@pytest.mark.parametrize("value", [0, 128, 255])
def test_nothing_to_see_is_not_judged(value: int) -> None:
    flat = np.full((4 * BLOCK, 4 * BLOCK, 3), value, np.uint8)
    noisy = _blur(flat, 0)
    for pixels in (flat, noisy):
        blurred, judged = find_blur(measure_structure(pixels, BLOCK))
        assert not blurred.any()
        assert not judged.any()


def test_a_part_knows_nothing_of_its_neighbours(sharp: NDArray[np.uint8]) -> None:
    whole = measure_structure(sharp, BLOCK)
    alone = measure_structure(sharp[2 * BLOCK : 5 * BLOCK, BLOCK : 3 * BLOCK], BLOCK)
    np.testing.assert_array_equal(alone, whole[2 * PARTS : 5 * PARTS, PARTS : 3 * PARTS])


def test_what_was_not_read_is_not_judged(sharp: NDArray[np.uint8]) -> None:
    structure = measure_structure(_blur(sharp, 8), BLOCK)
    structure[:8] = np.nan
    blurred, judged = find_blur(structure)
    assert not judged[:8].any()
    assert not blurred[:8].any()
    assert blurred[9:].mean() > 0.9
