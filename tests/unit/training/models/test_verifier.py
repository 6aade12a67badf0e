"""The verifier: its windows, what it learns from, and that turning a window changes nothing once exported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.synthetic.field import generate_field
from training.data.crops import CropBank
from training.data.icpr2012 import Field
from training.data.patches import CropPatches, FieldPatches, nuclei_of
from training.engine.held_out import state_held_out, weights_without
from training.export.graphs import VerifierGraph
from training.models.verifier import WINDOW_PX, Verifier
from training.recipes.config import read_config
from training.recipes.fit_verifier import VerifierConfig


@pytest.fixture(scope="module")
def bank() -> CropBank:
    pixels = generate_field(seed=3, width=512, height=256, mitoses_per_mm2=0).pixels
    crops = np.stack([pixels[y : y + 128, x : x + 128] for y in (0, 128) for x in (0, 128, 256, 384)])
    return CropBank(crops, np.asarray(["case"] * len(crops)))


@pytest.fixture(scope="module")
def field() -> Field:
    made = generate_field(seed=4, width=700, height=700, mitoses_per_mm2=200)
    return Field("f", "A00", 0.25, made.pixels, made.mitotic_figures, np.empty((0, 4), np.float32))


def test_draws_depend_on_the_generator_alone(bank: CropBank) -> None:
    patches, labels = CropPatches.of(bank), np.arange(6) < 3
    first, again, other = (patches.draw(labels, None, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (6, 3, WINDOW_PX, WINDOW_PX)
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first, other)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 255


def test_negatives_of_a_field_are_nuclei_away_from_its_figures(field: Field) -> None:
    patches = FieldPatches.of([field])
    assert len(patches.figures.pixels) == len(field.boxes)
    assert 0 < len(patches.nuclei.pixels) < len(nuclei_of(field.pixels))


def test_forbidden_areas_give_no_negatives(field: Field) -> None:
    whole = np.asarray([[0, 0, 700, 350]], np.float32)
    spoilt = Field("f", "A00", 0.25, field.pixels, field.boxes, whole)
    assert len(FieldPatches.of([spoilt]).nuclei.pixels) < len(FieldPatches.of([field]).nuclei.pixels)


def test_a_turned_or_mirrored_window_has_the_same_probability() -> None:
    torch.manual_seed(0)
    graph = VerifierGraph([Verifier(), Verifier()])
    window = torch.randint(0, 256, (1, WINDOW_PX, WINDOW_PX, 3), dtype=torch.uint8)
    views = torch.cat([window, window.rot90(1, (1, 2)), window.flip(2)])
    with torch.inference_mode():
        together, alone = graph(views), graph(window)
    torch.testing.assert_close(together, together[:1].expand(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=0)


def test_what_lies_outside_the_disc_is_not_seen() -> None:
    torch.manual_seed(0)
    net = Verifier().eval()
    window = torch.full((1, 3, WINDOW_PX, WINDOW_PX), 120.0)
    marked = window.clone()
    marked[:, :, :6, :6] = 0
    with torch.inference_mode():
        torch.testing.assert_close(net(window), net(marked))


def test_training_gives_a_loss_and_needs_labels() -> None:
    net = Verifier().train()
    images = torch.rand((2, 3, WINDOW_PX, WINDOW_PX)) * 255
    assert torch.isfinite(net(images, torch.tensor([0.0, 1.0]))["cross_entropy"])
    with pytest.raises(ValueError, match="labels"):
        net(images)


def test_experiments_name_unknown_keys(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("seed = 1\nspeed = 2\n")
    with pytest.raises(ValueError, match="speed"):
        read_config(config, VerifierConfig)


@pytest.mark.parametrize("name", ["verifier-crops", "verifier-fields"])
def test_shipped_experiments_are_read(name: str) -> None:
    folder = Path(__file__).parents[4] / "training" / "recipes"
    assert read_config(folder / f"{name}.toml", VerifierConfig).steps > 0


def test_a_fold_is_preferred_and_a_run_that_saw_the_slide_is_refused(tmp_path: Path) -> None:
    for run, slides in ((tmp_path, ["A02"]), (tmp_path / "without-A00", ["A00"])):
        state_held_out(run, slides)
        (run / "model.pt").write_bytes(b"weights")
    assert weights_without(tmp_path, "A00") == tmp_path / "without-A00" / "model.pt"
    assert weights_without(tmp_path, "A02") == tmp_path / "model.pt"
    with pytest.raises(ValueError, match="never saw A03"):
        weights_without(tmp_path, "A03")
    # Whoever starts from a run that saw a slide has seen it too.
    state_held_out(tmp_path / "later", ["A00", "A02"], tmp_path / "model.pt", None)
    assert json.loads((tmp_path / "later" / "held-out.json").read_text()) == ["A02"]
    assert json.loads((tmp_path / "held-out.json").read_text()) == ["A02"]
    with pytest.raises(FileNotFoundError, match=r"model\.pt"):
        weights_without(tmp_path / "nothing", "A00")
