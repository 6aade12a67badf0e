"""torchvision's detectors become versions that give what torch gives; files that are no plain weights are refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from serving.adoption.adopting import make_windows
from serving.adoption.contract import AdoptionContract, KongNetOutput
from serving.core.modelcard import load_card
from serving.registry.version_check import check_version
from tests.unit.serving.adoption.foreign import THRESHOLD, write_contract
from training.cli.adopt import command
from training.export import foreign_detectors
from training.export.foreign_detectors import build_kongnet, make_module, run_module
from training.export.torch_weights import put_state, read_state

IMAGENET: dict[str, Any] = {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BUILDERS = ["retinanet_resnet50_fpn", "fcos_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"]


def state(builder: str = BUILDERS[0], **changed: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "architecture": builder,
        "licence": "BSD-3-Clause",
        "mpp": 0.5,
        "window_px": 128,
        "overlap_px": 64,
        "pixels": {"normalisation": IMAGENET},
        "output": {"form": "torchvision", "builder": builder, "classes": 2},
        "threshold": THRESHOLD,
        "least_probability": 0.01,
        **changed,
    }


def build(builder: str) -> nn.Module:
    """Random weights whose normalisation knows the statistics of the windows, so that scores depend on what is seen."""
    torch.manual_seed(3)
    network: nn.Module = getattr(torchvision.models.detection, builder)(
        weights=None, weights_backbone=None, num_classes=2
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    windows = torch.from_numpy(make_windows(AdoptionContract.model_validate(state(builder))))
    mean, std = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        network.backbone.train()((windows.permute(0, 3, 1, 2).float() / 255 - mean) / std)  # type: ignore[union-attr]
        for name, weights in network.named_parameters():
            if name.endswith(("cls_logits.weight", "cls_score.weight")):
                weights.mul_(10)
            if name.endswith("classification_head.cls_logits.bias"):
                weights.zero_()
    return network.eval()


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_torchvision_detector_becomes_a_version(builder: str, tmp_path: Path) -> None:
    stated = state(builder)
    torch.save(build(builder).state_dict(), tmp_path / "theirs.pth")
    command.callback(  # type: ignore[misc]  # it has one
        weights=tmp_path / "theirs.pth", contract=write_contract(tmp_path / "c.yaml", stated), out=tmp_path / "m"
    )
    folder = tmp_path / "m/boxes/0.1.0"
    assert (load_card(folder).input.batch, load_card(folder).licence) == (1, "BSD-3-Clause")
    contract = AdoptionContract.model_validate(stated)
    module = make_module(contract, tmp_path / "theirs.pth")
    theirs = run_module(module, make_windows(contract), ["boxes", "probabilities"])
    with np.load(folder / "parity.npz") as ours:
        assert ((theirs["probabilities"] > 0.1).sum(1) > 10).all()  # else the comparison says nothing
        assert np.abs(np.sort(ours["probabilities"]) - np.sort(theirs["probabilities"])).max() < 1e-4
    assert check_version(folder, window_s=30.0, providers=["CPUExecutionProvider"]).name == "boxes"


def test_weights_of_another_network_are_refused_with_names(tmp_path: Path) -> None:
    torch.save(build(BUILDERS[1]).state_dict(), tmp_path / "theirs.pth")
    contract = AdoptionContract.model_validate(state(BUILDERS[0]))
    with pytest.raises(
        ValueError, match=r"not those of retinanet_resnet50_fpn: of its tensors .* are unknown, such as"
    ):
        make_module(contract, tmp_path / "theirs.pth")


def test_a_detector_that_torchvision_has_not_is_refused(tmp_path: Path) -> None:
    contract = AdoptionContract.model_validate(state("fcos_of_tomorrow"))
    with pytest.raises(ValueError, match="torchvision has no detector fcos_of_tomorrow"):
        make_module(contract, tmp_path / "theirs.pth")


class Malicious:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)

    def __init__(self, path: Path) -> None:
        self.path = str(path)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"weights": Malicious(tmp_path / "ran")}, tmp_path / "theirs.pth")
    with pytest.raises(ValueError, match="reading that could run code"):
        read_state(tmp_path / "theirs.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Malicious(tmp_path / "ran")))
    with pytest.raises(ValueError, match=r"could run code|no file of torch"):
        read_state(tmp_path / "plain.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
def test_a_file_without_weights_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is no file of|could run code"):
        read_state(tmp_path / name)


def test_a_state_is_found_however_it_was_stored(tmp_path: Path) -> None:
    weights = {"a": torch.ones(2)}
    save_file(weights, tmp_path / "w.safetensors")
    torch.save({"epoch": 3, "model": {"module.a": torch.ones(2)}}, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        assert {key: value.tolist() for key, value in read_state(tmp_path / name).items()} == {"a": [1.0, 1.0]}
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no state dict"):
        read_state(tmp_path / "list.pth")
    with pytest.raises(ValueError, match="1 have other shapes, such as weight"):
        put_state(nn.Linear(2, 1), {"weight": torch.ones(3, 3), "bias": torch.ones(1)}, "a layer")


def test_kongnet_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_detectors, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"--no-deps tiatoolbox==2\.1\.3"):
        build_kongnet(KongNetOutput(form="kongnet"))
