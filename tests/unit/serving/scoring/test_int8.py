"""Graphs in eight bits: which convolutions are, that they still compute the same, and that they are made once."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from serving.core.errors import ModelError
from serving.scoring import int8
from serving.scoring.batch_sizes import find_rounding
from serving.scoring.int8 import INT8, PROPOSAL_HEAD, Int8Session, quantise_to_int8
from serving.scoring.loading import load_cascade
from serving.scoring.models import newest_release
from tests.quick_models import write_quick_models
from training.export.onnx_files import export_det, export_regns
from training.export.onnx_graph import OnnxGraph
from training.export.parity import parity_windows, write_parity
from training.export.sub_tile_graphs import DetectorGraph, NetGraph
from training.models.classes import build
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small net of the study in float32, with windows beside it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("net")
    net = build("score", backbone="micro", side=125)
    assert isinstance(net, SubTileNet)
    export_regns(NetGraph(net), folder / "model.onnx")
    write_parity(folder / "parity.npz", parity_windows(), {})
    return folder / "model.onnx"


def test_convolutions_between_the_first_and_the_head_are_in_eight_bits(exact: Path, tmp_path: Path) -> None:
    windows = parity_windows()
    (tmp_path / "model.onnx").write_bytes(quantise_to_int8(exact, [windows]))
    quantised, others = _convolutions(tmp_path / "model.onnx")
    assert len(quantised) > 8
    assert len(others) == 1
    graph = onnx.load(tmp_path / "model.onnx").graph
    made = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    rectified = {name for node in graph.node if node.op_type == "Relu" for name in node.input}
    assert not rectified & made, "what is rectified afterwards takes half of the range for nothing"
    assert not any(name in made for node in graph.node if node.op_type in ("Gemm", "MatMul") for name in node.input)
    before, after = (OnnxGraph.load(path).scores(windows) for path in (exact, tmp_path / "model.onnx"))
    assert np.abs(before - after).max() < 0.5 * before.std() + 1e-3
    assert (tmp_path / "model.onnx").stat().st_size < 0.5 * exact.stat().st_size


def test_pooling_takes_floats(exact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    session = Int8Session(exact, options)
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    eight_bits_made = {
        name for node in nodes if node.op_type in ("QuantizeLinear", "QLinearConv") for name in node.output
    }
    pools = [node for node in nodes if node.op_type == "MaxPool"]
    assert pools
    assert not any(name in eight_bits_made for pool in pools for name in pool.input)
    # Where it pools is a matter of speed alone.
    (kept,) = (tmp_path / "cache").rglob("*.onnx")
    usual = onnxruntime.InferenceSession(kept, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: parity_windows()}
    assert np.array_equal(session.run(["scores"], feeds)[0], usual.run(["scores"], feeds)[0])


def test_a_detectors_proposal_head_stays_in_float(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build("boxes", backbone="micro", side=96)
    assert isinstance(detector, SubTileDetector)
    export_det(DetectorGraph(detector), tmp_path / "exact.onnx")
    (tmp_path / "model.onnx").write_bytes(quantise_to_int8(tmp_path / "exact.onnx", [parity_windows()]))
    quantised, others = _convolutions(tmp_path / "model.onnx")
    assert quantised
    assert sum(name.startswith(PROPOSAL_HEAD) for name in others) == 15  # three convolutions on each of five levels
    assert len(others) == 16
    assert not any(name.startswith(PROPOSAL_HEAD) for name in quantised)


def test_a_graph_is_rewritten_once_a_machine(exact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = Int8Session(exact, onnxruntime.SessionOptions())
    (kept,) = (tmp_path / "cache").rglob("*.onnx")
    assert kept.stat().st_mode & 0o077 == 0

    def never(*_: object) -> bytes:
        raise AssertionError("rewritten again")

    monkeypatch.setattr(int8, "quantise_to_int8", never)
    second = Int8Session(exact, onnxruntime.SessionOptions())
    assert second.get_providers() == [INT8]
    windows = parity_windows()
    name = first.get_inputs()[0].name
    a, b = (session.run(["scores"], {name: windows})[0] for session in (first, second))
    assert np.array_equal(a, b)
    # Another sample gives other ranges, so it is another graph.
    shutil.copy(exact, tmp_path / "model.onnx")
    write_parity(tmp_path / "parity.npz", windows[:4], {})
    with pytest.raises(AssertionError, match="rewritten again"):
        Int8Session(tmp_path / "model.onnx", onnxruntime.SessionOptions())


def test_results_of_another_recipe_are_other_results() -> None:
    assert find_rounding(INT8) == f"int8-{int8._RECIPE}"


def test_without_room_for_a_cache_it_works_all_the_same(
    exact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Int8Session(exact, onnxruntime.SessionOptions()).get_outputs()[0].name == "scores"


def test_a_cascade_runs_in_eight_bits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    models = write_quick_models(tmp_path / "models")
    detector = load_cascade(newest_release(models), providers=[INT8])
    assert detector.provider == INT8
    assert detector.screen(np.zeros((1, 500, 500, 3), np.uint8)).shape == (1, 3, 3)
    (models / "reg-ns/0.0.1/parity.npz").unlink()
    with pytest.raises(ModelError, match=r"parity\.npz"):
        load_cascade(newest_release(models), providers=[INT8])


def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'mitoserve\[int8\]'"):
        load_cascade(newest_release(Path("models")), providers=[INT8])


def _convolutions(path: Path) -> tuple[list[str], list[str]]:
    """Names of the convolutions whose weights are in eight bits, and of the others."""
    graph = onnx.load(path).graph
    made = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    names: tuple[list[str], list[str]] = [], []
    for node in graph.node:
        if node.op_type == "Conv":
            names[0 if node.input[1] in made else 1].append(node.name)
    return names
