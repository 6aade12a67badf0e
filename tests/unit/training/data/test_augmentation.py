import numpy as np
import pytest
import torch

from training.data.augmentation import (
    AUGMENTATIONS,
    Boxes,
    Photometric,
    Pixels,
    dihedral,
    photometric,
    photometric_picture,
)
from training.recipes.reading import change_recipe, load_recipe


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
    a, b = (photometric_picture(tissue, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(a, b)
    for seed in range(30):
        red, green, blue = photometric_picture(tissue, np.random.default_rng(seed)).reshape(-1, 3).mean(0)
        assert green < blue
        assert green < red


def test_each_picture_of_a_batch_is_changed_by_itself_and_to_the_stated_amount() -> None:
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, 48, 48))).float()
    still = Photometric(
        stain_strength=(1, 1),
        stain_turn=0,
        brightness=(1, 1),
        gamma=(1, 1),
        blurred=0,
        sharpened=0,
        noisy=0,
        compressed=0,
    )
    same = photometric(batch.clone(), np.random.default_rng(1), still)
    assert float((same - batch).abs().max()) <= 1  # 0 has no optical density
    soft = photometric(
        batch.clone(), np.random.default_rng(1), still.model_copy(update={"blurred": 1.0, "blur_px": (1, 1)})
    )
    assert float(soft.std()) < 0.6 * float(batch.std())
    changed = photometric(batch.clone(), np.random.default_rng(1))
    assert changed.shape == batch.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255
    assert torch.equal(changed, changed.round())


def test_a_new_augmentation_is_one_registered_function() -> None:
    @AUGMENTATIONS.register("none at all")
    def nothing(pixels: Pixels, boxes: Boxes, rng: np.random.Generator) -> tuple[Pixels, Boxes]:
        return pixels, boxes

    try:
        recipe = change_recipe(load_recipe("Reg-NS", "paper"), {"augmentation": "none at all"})
        assert recipe.model_dump()["augmentation"] == "none at all"
    finally:
        AUGMENTATIONS.remove("none at all")
