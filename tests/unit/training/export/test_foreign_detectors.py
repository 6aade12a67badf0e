"""What is no weights of a torchvision detector is refused, and plain weights are read however they were stored."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from serving.adoption.contract import AdoptionContract, KongNetOutput
from tests.torchvision_detectors import BUILDERS, build_detector, state_contract
from training.export import foreign_detectors
from training.export.foreign_detectors import build_kongnet, make_module
from training.export.torch_weights import put_state, read_state


def test_weights_of_another_network_are_refused_with_names(tmp_path: Path) -> None:
    torch.save(build_detector(BUILDERS[1]).state_dict(), tmp_path / "theirs.pth")
    contract = AdoptionContract.model_validate(state_contract(BUILDERS[0]))
    with pytest.raises(
        ValueError, match=r"not those of retinanet_resnet50_fpn: of its tensors .* are unknown, such as"
    ):
        make_module(contract, tmp_path / "theirs.pth")


def test_a_detector_that_torchvision_has_not_is_refused(tmp_path: Path) -> None:
    contract = AdoptionContract.model_validate(state_contract("fcos_of_tomorrow"))
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
