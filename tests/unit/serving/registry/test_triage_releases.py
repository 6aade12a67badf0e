"""A triage model is part of a release: checked, added, served beside the cascade, run in eight bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, TensorProto, helper, numpy_helper

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.registry.registry import ModelRegistry
from serving.registry.version_check import check_version
from serving.registry.warming import warm_up
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import find_map_card, find_triage_card, list_cards, list_released_cards
from serving.scoring.int8 import INT8, quantise_to_int8
from serving.scoring.loading import load_cascade, load_detector
from serving.scoring.models import newest_release
from tests.fakes import make_cards, make_triage_card
from tests.limits import LONGEST_S
from tests.quick_models import quick_light, quick_triage, restate, write_quick_model, write_quick_models

CPU = ["CPUExecutionProvider"]


def test_a_version_is_checked_by_its_contract(tmp_path: Path) -> None:
    folder = write_quick_model(tmp_path, make_triage_card(), quick_triage())
    assert check_version(folder, window_s=LONGEST_S, providers=CPU).parity == {"probabilities": 0.0}
    with np.load(folder / "parity.npz") as kept:
        sample = dict(kept)
    assert sample["probabilities"].shape == (2, 8, 4)
    np.savez_compressed(folder / "parity.npz", **sample | {"probabilities": 1 - sample["probabilities"]})
    with pytest.raises(ModelError, match=r"model triage 0.0.1 fails parity here: probabilities are"):
        check_version(restate(folder, make_triage_card()), window_s=LONGEST_S, providers=CPU)
    other = write_quick_model(tmp_path / "other", make_triage_card(), quick_light("probabilities"))
    with pytest.raises(ModelError, match="breaks the serving contract: inputs are"):
        check_version(other, window_s=LONGEST_S, providers=CPU)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"triage_threshold": None}, "must state triage_threshold"),
        (
            {"input": {"window_px": 32, "stride_px": 16, "mpp": 0.25, "layout": "uint8 RGB"}},
            "window_px must be stride_px",
        ),
        ({"screening_threshold": make_cards()[0].screening_threshold}, "is of Reg-NS's scores"),
        ({"task": "screening"}, "must state screening_threshold"),
    ],
)
def test_a_card_states_what_the_role_needs(changed: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ModelCard.model_validate(make_triage_card().model_dump() | changed)


def test_a_release_may_go_without_it(registry: ModelRegistry, tmp_path: Path) -> None:
    assert MODEL_ROLES.required() == ("reg-ns", "det")
    assert list(newest_release(write_quick_models(tmp_path / "plain"))) == ["reg-ns", "det"]
    registry.add(write_quick_model(tmp_path, make_triage_card(), quick_triage()))
    assert [model.name for model in registry.serving()] == ["reg-ns", "det"]
    registry.promote(["triage@0.0.1", "reg-ns@0.0.1", "det@0.0.1"], "ann")
    detector = registry.load(registry.serving())
    assert [card.name for card in list_released_cards(detector)] == ["triage", "reg-ns", "det"]
    assert [card.name for card in list_cards(detector)] == ["reg-ns", "det"]
    assert find_map_card(list_released_cards(detector)).name == "reg-ns"
    warm_up(detector)
    assert [model.name for model in registry.complete(["det@0.0.1"])] == ["triage", "reg-ns", "det"]
    registry.rollback("ann")
    assert find_triage_card(registry.load(registry.serving())) is None


def test_it_is_no_detector_that_a_release_has_twice() -> None:
    assert MODEL_ROLES.rivals(["triage", "reg-ns", "det"]) == ()
    assert MODEL_ROLES.rivals(["triage", "reg-ns", "det", "points"]) == ("reg-ns", "points")
    assert MODEL_ROLES.missing(["triage"]) == ("reg-ns", "det")
    assert MODEL_ROLES.choose(["triage", "reg-ns", "det"]) == ("triage", "reg-ns", "det")


def test_it_sees_the_pixels_of_reg_ns(tmp_path: Path) -> None:
    folders = newest_release(write_quick_models(tmp_path))
    stated = make_triage_card().model_dump()
    coarse = ModelCard.model_validate(stated | {"input": stated["input"] | {"mpp": 0.5}})
    with pytest.raises(ModelError, match=r"triage 0.0.1 sees pixels of 0.5 um and model reg-ns 0.0.1 of 0.25"):
        load_cascade({**folders, "triage": write_quick_model(tmp_path, coarse, quick_triage())}, providers=CPU)


def test_it_runs_in_eight_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    models = write_quick_models(tmp_path / "models")
    folder = write_quick_model(models, make_triage_card(), _convolutions())
    with np.load(folder / "parity.npz") as kept:
        tiles, stated = kept["input"], kept["probabilities"]
    exact, rounded = (load_detector(models, providers=[name]) for name in (CPU[0], INT8))
    assert rounded.provider == INT8
    found = [d.triage(tiles) for d in (exact, rounded)]  # type: ignore[union-attr]  # it is a cascade
    assert np.array_equal(found[0], stated)
    assert 0 < np.abs(found[1] - found[0]).max() < 0.05
    assert stated.std() > 0.01
    # What clips a convolution is the ends of its range, so that no other step lies between two of them.
    rewritten = onnx.load_from_string(quantise_to_int8(folder / "model.onnx", [tiles])).graph
    assert "Clip" not in {node.op_type for node in rewritten.node}


def _convolutions() -> GraphProto:
    """Three convolutions, of which the middle one becomes eight bits."""
    rng = np.random.default_rng(0)
    weights = {
        "first": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "second": rng.normal(0, 0.2, (8, 8, 3, 3)),
        "head": rng.normal(0, 0.5, (1, 8, 1, 1)),
        "white": np.asarray(255.0),
        "nothing": np.asarray(0.0),
        "six": np.asarray(6.0),
    }
    nodes = [
        helper.make_node("Cast", ["tiles"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Div", ["half", "white"], ["light"]),
        helper.make_node("Conv", ["light", "first"], ["a"], name="first", strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], name="second", strides=[4, 4], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["c", "nothing", "six"], ["d"], name="clip"),
        helper.make_node("Conv", ["d", "head"], ["e"], name="head"),
        helper.make_node("Sigmoid", ["e"], ["cells"]),
        helper.make_node("Squeeze", ["cells", "last"], ["probabilities"]),
    ]
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    return helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", "rows", "columns"])],
        [*constants, numpy_helper.from_array(np.asarray([1], np.int64), "last")],
    )
