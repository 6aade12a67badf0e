"""The seven classes, their losses and their weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.cli.options import read_init
from training.data.samples import Sample, augment, shrink
from training.models.classes import MODELS, build
from training.models.heads.registry import HEADS
from training.models.initial import initialise, load_weights
from training.models.sub_tile_detector import SubTileDetector, WeightedRoIHeads
from training.models.sub_tile_net import ScoreHead, SubTileNet
from training.models.trunks.registry import TRUNKS, Norm, Trunk
from training.models.trunks.timm_nets import build_trunk
from training.models.weights import Weights
from training.recipes.reading import PRESETS, change_recipe, load_recipe, read_changes
from training.recipes.registry import Start
from training.recipes.sub_tiles import SubTileRecipe


def target(agreement: float = 1.0) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor([[20.0, 20.0, 60.0, 60.0]]),
        "labels": torch.ones(1, dtype=torch.int64),
        "agreement": torch.tensor([agreement]),
    }


@pytest.mark.parametrize("name", MODELS)
def test_each_class_learns_by_its_losses_and_predicts(name: str) -> None:
    torch.manual_seed(0)
    model = build(MODELS[name].head, backbone="micro", side=96)
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
    scores = build("class", backbone="micro", side=64).eval()(torch.rand(5, 3, 64, 64) * 255)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_agreement_weighs_the_class_loss_and_nothing_else() -> None:
    def losses(name: str, agreement: float) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = build(MODELS[name].head, backbone="micro", side=96)
        torch.manual_seed(1)
        found: dict[str, Tensor] = model(torch.full((1, 3, 96, 96), 90.0), [target(agreement)])
        return found

    plain, sure, unsure = losses("Det", 0.3), losses("Det-WL", 1.0), losses("Det-WL", 0.3)
    for name in plain:
        torch.testing.assert_close(plain[name], sure[name])
    assert unsure["loss_classifier"] < sure["loss_classifier"]
    for name in ("loss_box_reg", "loss_objectness", "loss_rpn_box_reg"):
        torch.testing.assert_close(unsure[name], sure[name])
    weighted = build("weighted boxes", backbone="micro", side=96)
    assert isinstance(weighted, SubTileDetector)
    assert isinstance(weighted.model.roi_heads, WeightedRoIHeads)


def test_a_pretrained_detector_keeps_its_first_stage_and_its_statistics() -> None:
    def trained(*, pretrained: bool) -> set[str]:
        model = build("boxes", backbone="micro", side=96, pretrained=pretrained)
        return {n.split(".")[0] for n, p in model.trunk.named_parameters() if p.requires_grad}

    assert trained(pretrained=True) == {"layer2", "layer3", "layer4"}
    assert trained(pretrained=False) == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}


def test_a_reg_runs_backbone_becomes_the_detectors(tmp_path: Path) -> None:
    net = build("score", backbone="micro", side=64)
    assert isinstance(net, SubTileNet)
    path = tmp_path / "Reg_all" / "model.pt"
    path.parent.mkdir()
    torch.save(net.state_dict(), path)
    detector = build("boxes", backbone="micro", side=64, pretrained=True)
    assert initialise(detector, "reg", reg_run=path) == "backbone of Reg_all"
    torch.testing.assert_close(_tensor(detector, "layer3.0.conv1.weight"), _tensor(net, "layer3.0.conv1.weight"))
    with pytest.raises(ValueError, match="needs the run"):
        initialise(detector, "reg")


def _tensor(model: SubTileNet | SubTileDetector, name: str) -> Tensor:
    tensor: Tensor = model.trunk.state_dict()[name]
    return tensor


def _strides(model: SubTileNet | SubTileDetector) -> list[object]:
    return [m.stride for n, m in model.trunk.named_modules() if n == "layer2.0.conv1"]


def _imagenet(path: Path, architecture: str | None) -> Path:
    torch.manual_seed(3)
    state = {k: v.contiguous() for k, v in build_trunk("resnet50").state_dict().items() if k != "v1_strides"}
    save_file(state, path, metadata={"architecture": architecture} if architecture else None)
    return path


def test_weights_state_where_their_strides_lie(tmp_path: Path) -> None:
    v1 = _imagenet(tmp_path / "v1.safetensors", "resnet50 v1")
    net = build("score", backbone="resnet50", side=64)
    assert _strides(net) == [(1, 1)]
    assert "v1" in initialise(net, str(v1))
    torch.testing.assert_close(_tensor(net, "layer2.0.conv1.weight"), load_file(v1)["layer2.0.conv1.weight"])
    assert _strides(net) == [(2, 2)]
    torch.save(net.state_dict(), tmp_path / "model.pt")
    again = build("score", backbone="resnet50", side=64)
    load_weights(again, tmp_path / "model.pt")
    assert _strides(again) == [(2, 2)]
    # What does not state them is not taken for either in silence.
    unstated = _imagenet(tmp_path / "unstated.safetensors", None)
    with pytest.raises(ValueError, match=r"does not state whether it is ResNet v1 or v1\.5"):
        initialise(net, str(unstated))
    initialise(net, f"{unstated} v1.5")
    assert _strides(net) == [(1, 1)]
    with pytest.raises(ValueError, match=r"states 'resnet50 v1', not v1\.5"):
        initialise(net, f"{v1} v1.5")
    released = build_trunk("resnet50-v1", "folded", 3)
    with pytest.raises(ValueError, match=r"is ResNet v1\.5, and this trunk is v1"):
        released.fill(Weights(load_file(unstated), "v1.5", "torchvision's"))


def test_weights_that_are_absent_or_of_another_net_are_refused(tmp_path: Path) -> None:
    net = build("score", backbone="micro", side=64)
    with pytest.raises(FileNotFoundError, match="no weights at"):
        initialise(net, str(tmp_path / "absent.safetensors"))
    save_file({"conv1.weight": torch.zeros(16, 3, 7, 7)}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match="the weights lack"):
        initialise(net, str(tmp_path / "part.safetensors"))
    torch.save(build("class", backbone="micro", side=64).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="weights of another model"):
        load_weights(net, tmp_path / "other.pt")


def test_folded_batch_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    learnt = build_trunk("micro").train()
    images = torch.rand(2, 3, 64, 64) * 255
    learnt(images)
    folded = build_trunk("micro", "folded")
    folded.fill(Weights(learnt.state_dict(), None, "here"))
    with torch.inference_mode():
        for a, b in zip(learnt.eval()(images), folded.eval()(images), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_timms_nets_are_trunks_and_take_weights_under_other_names() -> None:
    trunk = build_trunk("timm/efficientnet_lite0", "frozen")
    maps = trunk(torch.rand(1, 3, 96, 96) * 255)
    assert [m.shape[-1] for m in maps] == [24, 12, 6, 3]
    assert tuple(m.shape[1] for m in maps) == trunk.channels
    other = build_trunk("timm/efficientnet_lite0", "frozen")
    renamed = {f"_{i}": v for i, v in enumerate(trunk.state_dict().values()) if v.ndim}
    other.fill(Weights({k.removeprefix("net."): v for k, v in renamed.items()}, None, "a port"))
    with torch.inference_mode():
        torch.testing.assert_close(
            trunk.eval()(torch.ones(1, 3, 64, 64))[-1], other.eval()(torch.ones(1, 3, 64, 64))[-1]
        )
    with pytest.raises(ValueError, match="neither names nor shapes"):
        other.fill(Weights({"x": torch.zeros(3)}, None, "a port"))
    trunk.freeze(0)
    frozen = [n for n, p in trunk.named_parameters() if not p.requires_grad]
    assert frozen
    assert all("conv_stem" in n for n in frozen)
    with pytest.raises(ValueError, match="timm has no"):
        build_trunk("timm/no_such_net")


def test_a_new_trunk_and_a_new_head_are_one_registered_thing_each() -> None:
    @TRUNKS.register("one-stage")
    def one_stage(norm: Norm, depth: int) -> Trunk:
        return _OneStage()

    @HEADS.register("doubled score")
    class Doubled(ScoreHead):
        thresholds: ClassVar[Sequence[float]] = (0.5,)
        output: ClassVar[str] = "twice s_t"

        def losses(self, output: Tensor, scores: Tensor) -> dict[str, Tensor]:
            return {"doubled": ((output.squeeze(1) - 2 * scores) ** 2).mean()}

        def score(self, output: Tensor) -> Tensor:
            return output.reshape(-1)

        def validation_loss(self, scores: Tensor, targets: Tensor) -> float:
            return float(((scores - 2 * targets) ** 2).mean())

    try:
        recipe = change_recipe(
            load_recipe("Reg-NS", "paper"),
            {"backbone": "one-stage", "head": "doubled score", "side": 64, "initialisation": "none"},
        )
        model = recipe.build()
        assert set(model(torch.rand(2, 3, 64, 64), torch.tensor([0.0, 1.0]))) == {"doubled"}
        assert isinstance(model, SubTileNet)
        assert isinstance(model.trunk, _OneStage)
        assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2,)
    finally:
        TRUNKS.remove("one-stage")
        HEADS.remove("doubled score")
    with pytest.raises(ValueError, match=r"no trunk one-stage; there are .*resnet50"):
        change_recipe(load_recipe("Reg-NS", "paper"), {"backbone": "one-stage"})
    with pytest.raises(ValueError, match="no head doubled score; there are"):
        change_recipe(load_recipe("Reg-NS", "paper"), {"head": "doubled score"})


class _OneStage(Trunk):
    """A trunk of one convolution."""

    def __init__(self) -> None:
        super().__init__((8,))
        self.conv = torch.nn.Conv2d(3, 8, 4, stride=4)

    def maps(self, images: Tensor) -> list[Tensor]:
        return [self.conv(images)]


def test_init_words() -> None:
    assert read_init([]) == (None, Start())
    assert read_init(["none"]) == ("none", Start())
    assert read_init(["imagenet", "a.safetensors"]) == ("a.safetensors", Start())
    assert read_init(["imagenet", "a.safetensors", "v1"]) == ("a.safetensors v1", Start())
    assert read_init(["reg", "runs/Reg"]) == ("reg", Start(reg=Path("runs/Reg/model.pt")))
    with pytest.raises(ValueError, match="give imagenet FILE"):
        read_init(["imagenet"])


def test_the_papers_recipe_is_the_papers() -> None:
    net, detector, bc = (load_recipe(name, "paper") for name in ("Reg-NS", "Det", "BC"))
    assert isinstance(net, SubTileRecipe)
    assert isinstance(detector, SubTileRecipe)
    assert isinstance(bc, SubTileRecipe)
    assert (net.batch, net.optimiser, net.learning_rate, net.epochs, net.step_epochs) == (32, "adam", 0.005, 60, 15)
    assert (detector.batch, detector.optimiser, detector.learning_rate) == (16, "sgd", 0.005)
    assert (detector.epochs, detector.step_epochs, detector.side) == (30, 20, 800)
    assert (net.negatives_ratio, detector.negatives_ratio, bc.negatives_ratio) == (1.0, None, 1.0)
    assert (net.clip_norm, net.augmentation, net.weight_decay) == (None, "paper", None)


@pytest.mark.parametrize("preset", PRESETS)
def test_recipes_take_changes_and_refuse_nonsense(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("negatives_count = 7\nepochs = 3\n")
    recipe = change_recipe(load_recipe("Reg-NS", preset), read_changes(path), str(path))
    assert isinstance(recipe, SubTileRecipe)
    assert (recipe.negatives_count, recipe.negatives_ratio, recipe.epochs) == (7, None, 3)
    for values, said in (
        ({"epoch": 3}, "epoch: unknown; sub-tiles recipes have"),
        ({"optimiser": "adamax"}, "optimiser: Input should be 'adam', 'sgd' or 'adamw'"),
        ({"precision": "float61"}, "precision: Input should be"),
        ({"learning_rate": -1}, "learning_rate: Input should be greater than 0"),
        ({"augmentation": "glitter"}, "no augmentation glitter; there are"),
        ({"hard_share": 2}, "hard_share"),
        ({"model": "Regg"}, "no model class Regg"),
    ):
        with pytest.raises(ValueError, match=said):
            change_recipe(recipe, values)
    with pytest.raises(ValueError, match="trained without negatives"):
        change_recipe(load_recipe("Det", preset), {"negatives_ratio": 2.0})


def test_a_sample_is_shrunk_with_its_boxes_before_it_is_augmented() -> None:
    pixels = np.full((250, 250, 3), 200, np.uint8)
    pixels[100:140, 60:100] = (90, 20, 120)
    sample = Sample(pixels, 0.8, np.asarray([[60, 100, 100, 140]], np.float32), np.asarray([0.8], np.float32))
    small = shrink(sample, 125)
    assert small.pixels.shape == (125, 125, 3)
    np.testing.assert_allclose(small.boxes, [[30, 50, 50, 70]])
    assert shrink(sample, 800) is sample
    for augmentation in ("paper", "stain-safe"):
        shown = augment(small, augmentation, np.random.default_rng(3))
        x1, y1, x2, y2 = shown.boxes[0].astype(int)
        inside, all_ = shown.pixels[y1:y2, x1:x2].mean((0, 1)), shown.pixels.mean((0, 1))
        assert np.abs(inside - all_).max() > 30
