from pathlib import Path

import numpy as np
import torch

from training.data.crops import CROP_PX, CropBank
from training.paper.pretraining import SIDE_PX, CellBatches, pretrain


def bank() -> CropBank:
    """Grey crops with a red figure in the middle."""
    pixels = np.full((5, CROP_PX, CROP_PX, 3), 180, np.uint8)
    pixels[:, 50:78, 50:78] = (200, 30, 30)
    return CropBank(pixels, np.asarray(["a", "a", "b", "b", "c"]))


def test_cells_are_labelled_by_whether_they_show_their_figure() -> None:
    pixels, shown = CellBatches(bank(), 0)[3]
    assert pixels.shape == (64, SIDE_PX, SIDE_PX, 3)
    red = (pixels[..., 0].astype(int) - pixels[..., 1] > 60).sum((1, 2)) > 40
    np.testing.assert_array_equal(red, shown > 0)
    assert 10 < shown.sum() < 54


def test_figures_do_not_always_lie_in_the_middle() -> None:
    middles = set()
    for number in range(4):
        pixels, shown = CellBatches(bank(), 0)[number]
        red = pixels[int(np.flatnonzero(shown)[0])]
        y, _ = np.nonzero(red[..., 0].astype(int) - red[..., 1] > 60)
        middles.add(int(y.mean()))
    assert len(middles) > 2


def test_weights_are_made_once(tmp_path: Path) -> None:
    path = pretrain(bank(), "micro", tmp_path, steps=2)
    made = path.read_bytes()
    assert pretrain(bank(), "micro", tmp_path, steps=2).read_bytes() == made
    assert torch.isfinite(torch.load(tmp_path / "model.pt")["trunk.conv1.weight"]).all()


def test_banks_are_parted_by_case() -> None:
    assert len(bank().select(lambda case: case != "b")) == 3
