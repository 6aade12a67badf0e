"""torchvision's detectors become versions that give what torch gives."""

from pathlib import Path

import numpy as np
import pytest
import torch

from serving.adoption.adopting import make_windows
from serving.adoption.contract import AdoptionContract
from serving.core.modelcard import load_card
from serving.registry.version_check import check_version
from tests.limits import LONGEST_S
from tests.torchvision_detectors import BUILDERS, build_detector, state_contract
from tests.unit.serving.adoption.foreign import write_contract
from training.cli.adopt import command
from training.export.foreign_detectors import make_module, run_module

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_torchvision_detector_becomes_a_version(builder: str, tmp_path: Path) -> None:
    stated = state_contract(builder)
    torch.save(build_detector(builder).state_dict(), tmp_path / "theirs.pth")
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
    assert check_version(folder, window_s=LONGEST_S, providers=["CPUExecutionProvider"]).name == "boxes"
