"""What adoption takes for KongNet's weights, held against a recorded listing of its tensors: TIAToolbox is seldom installed here.

`tests/data/kongnet-state.txt.gz` has name and shape of every tensor of the network behind `KongNet_Det_MIDOG_1`, one a line, in the order of its state
dict, as tiatoolbox 2.1.3 builds it.
"""

import gzip
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from serving.adoption.contract import KongNetOutput
from training.export.foreign_detectors import build_kongnet
from training.export.torch_weights import put_state, read_state

RECORDED = Path(__file__).parents[3] / "data" / "kongnet-state.txt.gz"
ENCODER = "encoder.model."
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def recorded() -> Shapes:
    lines = gzip.decompress(RECORDED.read_bytes()).decode().splitlines()
    pairs = [line.split() for line in lines]
    return {name: () if shape == "-" else tuple(map(int, shape.split("x"))) for name, shape in pairs}


def _list_shapes(network: nn.Module, before: str = "") -> Shapes:
    return {before + name: tuple(value.shape) for name, value in nn.Module.state_dict(network).items()}


def _make_network(shapes: Shapes) -> nn.Module:
    """A network of these tensors that computes nothing and takes no memory."""
    root = nn.Module()
    for name, shape in shapes.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_buffer(last, torch.empty(shape, device="meta"))
    return root


@pytest.mark.skipif(find_spec("tiatoolbox") is None, reason="TIAToolbox is not installed: docs/detectors.md says how")
def test_the_listing_is_that_of_the_installed_package(recorded: Shapes) -> None:
    assert list(_list_shapes(build_kongnet(KongNetOutput(form="kongnet"))).items()) == list(recorded.items())


def test_the_encoder_is_that_of_our_own_timm(recorded: Shapes) -> None:
    """TIAToolbox asks for an older timm than training uses: names and shapes must be the same."""
    with torch.device("meta"):
        encoder = timm.create_model(
            "tf_efficientnetv2_l.in21k_ft_in1k",
            pretrained=False,
            in_chans=3,
            features_only=True,
            out_indices=tuple(range(5)),
            drop_rate=0.5,
            drop_path_rate=0.25,
        )
    expected = {name: shape for name, shape in recorded.items() if name.startswith(ENCODER)}
    assert _list_shapes(encoder, ENCODER) == expected
    assert encoder.feature_info.channels() == [32, 64, 96, 224, 640]


def test_it_has_the_parameters_that_the_documentation_states(recorded: Shapes) -> None:
    counted = [
        math.prod(shape)
        for name, shape in recorded.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert round(sum(counted) / 1e6) == 126
    assert recorded["heads.0.0.weight"][0] == 1, "one head with one channel: mitotic figures"


def test_weights_of_these_names_are_taken_and_others_are_refused_by_name(recorded: Shapes, tmp_path: Path) -> None:
    network = _make_network(recorded)
    assert _list_shapes(network) == recorded
    state: dict[str, Tensor] = {name: torch.empty(shape, device="meta") for name, shape in recorded.items()}
    put_state(network, state, "KongNet")
    with pytest.raises(ValueError, match=r"not those of KongNet: of its tensors 1 lack, such as heads\.0\.0\.bias"):
        put_state(network, {name: value for name, value in state.items() if name != "heads.0.0.bias"}, "KongNet")
    wide = state | {"heads.0.0.weight": torch.empty((1, 32, 1, 1), device="meta")}
    with pytest.raises(ValueError, match=r"1 have other shapes, such as heads\.0\.0\.weight"):
        put_state(network, wide, "KongNet")
    # As TIAToolbox stores checkpoints, and as a training in several processes does.
    small = {name: torch.ones(shape) for name, shape in recorded.items() if name.startswith("heads.")}
    torch.save({"model": {f"module.{name}": value for name, value in small.items()}}, tmp_path / "kongnet.pth")
    assert {name: tuple(value.shape) for name, value in read_state(tmp_path / "kongnet.pth").items()} == {
        name: recorded[name] for name in small
    }
