"""The seven classes, their losses and their weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from training.cli.arguments import Initial, read_init
from training.data.samples import Sample, augmented, shrunk
from training.models.backbones import resnet
from training.models.initial import initialise, load_trained
from training.models.sub_tile_detector import SubTileDetector, WeightedRoIHeads
from training.models.sub_tile_net import MODELS, ModelName, SubTileNet, build
from training.recipes.recipe import PRESETS, default, paper, rate, read_overrides, with_overrides


def target(agreement: float = 1.0) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor([[20.0, 20.0, 60.0, 60.0]]),
        "labels": torch.ones(1, dtype=torch.int64),
        "agreement": torch.tensor([agreement]),
    }


@pytest.mark.parametrize("name", MODELS)
def test_each_class_learns_by_its_losses_and_predicts(name: ModelName) -> None:
    torch.manual_seed(0)
    model = build(name, backbone="micro", side=96)
    images = torch.rand(2, 3, 96, 96) * 255
    if isinstance(model, SubTileNet):
        losses = model(images, torch.tensor([0.0, 0.7]))
        assert set(losses) == {"cross_entropy" if name == "BC" else "squared_error"}
        assert model.eval()(images).shape == (2,)
    else:
        losses = model(images, [target(), {k: v[:0] for k, v in target().items()}])
        assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
        assert len(model.eval()(images)) == 2
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_bcs_score_is_a_probability() -> None:
    scores = build("BC", backbone="micro", side=64).eval()(torch.rand(5, 3, 64, 64) * 255)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_agreement_weighs_the_class_loss_and_nothing_else() -> None:
    def losses(name: ModelName, agreement: float) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = build(name, backbone="micro", side=96)
        torch.manual_seed(1)
        found: dict[str, Tensor] = model(torch.full((1, 3, 96, 96), 90.0), [target(agreement)])
        return found

    plain, sure, unsure = losses("Det", 0.3), losses("Det-WL", 1.0), losses("Det-WL", 0.3)
    for name in plain:
        torch.testing.assert_close(plain[name], sure[name])
    assert unsure["loss_classifier"] < sure["loss_classifier"]
    for name in ("loss_box_reg", "loss_objectness", "loss_rpn_box_reg"):
        torch.testing.assert_close(unsure[name], sure[name])
    weighted = build("Det-NS-WL", backbone="micro", side=96)
    assert isinstance(weighted, SubTileDetector)
    assert isinstance(weighted.model.roi_heads, WeightedRoIHeads)


def test_a_pretrained_detector_keeps_its_first_stage_and_its_statistics() -> None:
    def trained(*, pretrained: bool) -> set[str]:
        model = SubTileDetector("micro", 96, weighted=False, pretrained=pretrained)
        return {n.split(".")[0] for n, p in model.model.backbone.body.named_parameters() if p.requires_grad}

    assert trained(pretrained=True) == {"layer2", "layer3", "layer4"}
    assert trained(pretrained=False) == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}


def test_a_reg_runs_backbone_becomes_the_detectors(tmp_path: Path) -> None:
    net = build("Reg", backbone="micro", side=64)
    assert isinstance(net, SubTileNet)
    path = tmp_path / "Reg_all" / "model.pt"
    path.parent.mkdir()
    torch.save(net.state_dict(), path)
    detector = build("Det", backbone="micro", side=64, pretrained=True)
    assert initialise(detector, "reg", reg_run=path) == "backbone of Reg_all"
    assert isinstance(detector, SubTileDetector)
    torch.testing.assert_close(detector.model.backbone.body.layer3[0].conv1.weight, net.net.layer3[0].conv1.weight)
    with pytest.raises(ValueError, match="needs the run"):
        initialise(detector, "reg")


def test_weights_from_a_file_fill_the_backbone_and_place_the_strides(tmp_path: Path) -> None:
    torch.manual_seed(3)
    source = resnet("resnet50")
    save_file({k: v.contiguous() for k, v in source.state_dict().items()}, tmp_path / "imagenet.safetensors")
    net = build("Reg-NS", backbone="resnet50", side=64)
    assert isinstance(net, SubTileNet)
    initialise(net, str(tmp_path / "imagenet.safetensors"))
    torch.testing.assert_close(net.net.layer2[0].conv1.weight, source.layer2[0].conv1.weight)
    assert net.net.layer2[0].conv1.stride == (2, 2)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    again = build("Reg-NS", backbone="resnet50", side=64)
    load_trained(again, tmp_path / "model.pt")
    assert isinstance(again, SubTileNet)
    assert again.net.layer2[0].conv1.stride == (2, 2)
    with pytest.raises(FileNotFoundError, match="no weights at"):
        initialise(net, str(tmp_path / "absent.safetensors"))
    save_file({"conv1.weight": source.conv1.weight.detach().clone()}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="the weights lack"):
        initialise(net, str(tmp_path / "part.safetensors"))


def test_init_words() -> None:
    assert read_init(None) is None
    assert read_init(["none"]) == Initial("none")
    assert read_init(["imagenet", "a.safetensors"]) == Initial("a.safetensors")
    assert read_init(["reg", "runs/Reg"]) == Initial("reg", Path("runs/Reg/model.pt"))
    with pytest.raises(ValueError, match="give imagenet FILE"):
        read_init(["imagenet"])


def test_the_papers_recipe_is_the_papers() -> None:
    net, detector = paper("Reg-NS"), paper("Det")
    assert (net.batch, net.optimiser, net.learning_rate, net.epochs, net.step_epochs) == (32, "adam", 0.005, 60, 15)
    assert (detector.batch, detector.optimiser, detector.learning_rate) == (16, "sgd", 0.005)
    assert (detector.epochs, detector.step_epochs, detector.side) == (30, 20, 800)
    assert (net.negatives_ratio, detector.negatives_ratio, paper("BC").negatives_ratio) == (1.0, None, 1.0)
    assert [round(rate(net, step, 1), 6) for step in (0, 14, 15, 30)] == [1, 1, 0.1, 0.01]
    assert net.clip_norm is None


@pytest.mark.parametrize("preset", PRESETS)
def test_recipes_take_overrides_and_refuse_nonsense(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("negatives_count = 7\nepochs = 3\n")
    recipe = with_overrides(PRESETS[preset]("Reg-NS", "none"), read_overrides(path))
    assert (recipe.negatives_count, recipe.negatives_ratio, recipe.epochs) == (7, None, 3)
    path.write_text("epoch = 3")
    with pytest.raises(ValueError, match=r"unknown \['epoch'\]"):
        read_overrides(path)
    with pytest.raises(ValueError, match="trained without negatives"):
        with_overrides(PRESETS[preset]("Det", "none"), {"negatives_ratio": 2.0})
    with pytest.raises(ValueError, match="hard_share"):
        with_overrides(recipe, {"hard_share": 2})


def test_a_sample_is_shrunk_with_its_boxes_before_it_is_augmented() -> None:
    pixels = np.full((250, 250, 3), 200, np.uint8)
    pixels[100:140, 60:100] = (90, 20, 120)
    sample = Sample(pixels, 0.8, np.asarray([[60, 100, 100, 140]], np.float32), np.asarray([0.8], np.float32))
    small = shrunk(sample, 125)
    assert small.pixels.shape == (125, 125, 3)
    np.testing.assert_allclose(small.boxes, [[30, 50, 50, 70]])
    assert shrunk(sample, 800) is sample
    for recipe in (paper("Det", "none"), default("Det", "none")):
        shown = augmented(small, recipe, np.random.default_rng(3))
        x1, y1, x2, y2 = shown.boxes[0].astype(int)
        inside, all_ = shown.pixels[y1:y2, x1:x2].mean((0, 1)), shown.pixels.mean((0, 1))
        assert np.abs(inside - all_).max() > 30
