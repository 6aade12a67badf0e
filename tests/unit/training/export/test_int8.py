from pathlib import Path

import numpy as np
import onnx
import torch

from training.export.int8 import PROPOSAL_HEAD, store_in_int8
from training.export.onnx_files import export_det, export_regns
from training.export.parity import parity_windows
from training.export.study_export import Graph
from training.export.study_graphs import DetectorGraph, NetGraph
from training.study.detectors import SubTileDetector
from training.study.models import SubTileNet


def test_convolutions_between_the_first_and_the_head_are_in_eight_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_regns(NetGraph(SubTileNet("score", "micro", 125)), tmp_path / "exact.onnx")
    store_in_int8(tmp_path / "exact.onnx", tmp_path / "model.onnx", parity_windows())
    quantised, others = _convolutions(tmp_path / "model.onnx")
    assert len(quantised) > 8
    assert len(others) == 1
    graph = onnx.load(tmp_path / "model.onnx").graph
    made = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    assert not any(name in made for node in graph.node if node.op_type in ("Gemm", "MatMul") for name in node.input)
    windows = parity_windows()
    exact, stored = (Graph.load(tmp_path / f"{name}.onnx").scores(windows) for name in ("exact", "model"))
    assert np.abs(exact - stored).max() < 0.5 * exact.std() + 1e-3
    assert (tmp_path / "model.onnx").stat().st_size < 0.5 * (tmp_path / "exact.onnx").stat().st_size


def test_a_detectors_proposal_head_stays_in_float(tmp_path: Path) -> None:
    torch.manual_seed(0)
    export_det(DetectorGraph(SubTileDetector("micro", 96, weighted=False)), tmp_path / "exact.onnx")
    store_in_int8(tmp_path / "exact.onnx", tmp_path / "model.onnx", parity_windows())
    quantised, others = _convolutions(tmp_path / "model.onnx")
    assert quantised
    assert sum(name.startswith(PROPOSAL_HEAD) for name in others) == 15  # three convolutions on each of five levels
    assert len(others) == 16
    assert not any(name.startswith(PROPOSAL_HEAD) for name in quantised)


def _convolutions(path: Path) -> tuple[list[str], list[str]]:
    """Names of the convolutions whose weights are in eight bits, and of the others."""
    graph = onnx.load(path).graph
    made = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    names: tuple[list[str], list[str]] = [], []
    for node in graph.node:
        if node.op_type == "Conv":
            names[0 if node.input[1] in made else 1].append(node.name)
    return names
