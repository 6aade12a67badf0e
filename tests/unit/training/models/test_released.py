"""Weights of released graphs in torch say what the release says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.export.graphs import DetGraph, VerifierGraph, WholeTileRegNSGraph
from training.models.cascade import CascadeNet
from training.models.verifier import Verifier
from training.models.weights import read_released_weights
from training.models.whole_tile import WholeTileRegNS

MODELS = Path(__file__).parents[4] / "models"


def _fill(name: str) -> tuple[Path, nn.Module]:
    folder = MODELS / name / "1.2.2"
    if not folder.is_dir():
        pytest.skip(f"release 1.2.2 of {name} is no longer part of the tree")
    model: nn.Module = {"verifier": Verifier, "reg-ns": WholeTileRegNS, "det": CascadeNet}[name]()
    state = read_released_weights(folder / "model.onnx")
    own = model.state_dict()
    assert set(state) <= set(own)
    left = {k for k in own if k not in state and not k.endswith("v1_strides")}
    # Det's file has no fourth stage and no Reg-NS head.
    assert all(k.startswith(("trunk.layer4.", "regns.")) for k in left)
    model.load_state_dict({**own, **state})
    return folder, model.eval()


@pytest.mark.parametrize("name", ["verifier", "reg-ns", "det"])
def test_released_weights_are_read_back(name: str) -> None:
    folder, model = _fill(name)
    with np.load(folder / "parity.npz") as parity:
        sample, expected = parity["input"], {k: parity[k] for k in parity.files if k != "input"}
    graph: nn.Module
    if isinstance(model, Verifier):
        graph = VerifierGraph([model])
    elif isinstance(model, WholeTileRegNS):
        graph = WholeTileRegNSGraph(model)
    else:
        assert isinstance(model, CascadeNet)
        graph = DetGraph(model.trunk, model.det)
    with torch.inference_mode():
        said = graph(torch.from_numpy(sample))
    found = said if isinstance(said, tuple) else (said,)
    for value, (output, wanted) in zip(found, expected.items(), strict=True):
        np.testing.assert_allclose(value.numpy(), wanted, atol=0.05 if output == "boxes" else 1e-4)
