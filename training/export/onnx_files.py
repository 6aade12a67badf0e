"""ONNX files of the graphs, with weights stored in half precision and cast up on load."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

OPSET = 17
LARGE = 1024
"""Constants with fewer elements stay in float32: they weigh nothing and hold anchors and shapes."""


def export_regns(graph: nn.Module, path: Path) -> None:
    """Write the tile graph; N, H and W are dynamic."""
    example = torch.zeros((2, 375, 500, 3), dtype=torch.uint8)
    axes = {"tiles": {0: "N", 1: "H", 2: "W"}, "scores": {0: "N", 1: "rows", 2: "columns"}}
    _export(graph, (example,), path, outputs=["scores"], axes=axes)


def export_det(graph: nn.Module, path: Path) -> None:
    """Write the detection graph; N is dynamic."""
    example = torch.randint(0, 255, (2, 250, 250, 3), dtype=torch.uint8)
    names = ["boxes", "probabilities", "counts"]
    axes = {"windows": {0: "N"}, **{name: {0: "N", 1: "K"} for name in names[:2]}, "counts": {0: "N"}}
    _export(graph, (example,), path, outputs=names, axes=axes)


def export_verifier(graph: nn.Module, path: Path) -> None:
    """Write the verification graph, which states its windows' px; N is dynamic."""
    side = int(graph.window_px)  # type: ignore[arg-type]  # a VerifierGraph's
    example = torch.zeros((2, side, side, 3), dtype=torch.uint8)
    axes = {"windows": {0: "N"}, "probabilities": {0: "N"}}
    _export(graph, (example,), path, outputs=["probabilities"], axes=axes)


def export_triage(graph: nn.Module, path: Path) -> None:
    """Write the triage graph; N, H and W are dynamic."""
    example = torch.zeros((2, 384, 512, 3), dtype=torch.uint8)
    axes = {"tiles": {0: "N", 1: "H", 2: "W"}, "probabilities": {0: "N", 1: "rows", 2: "columns"}}
    _export(graph, (example,), path, outputs=["probabilities"], axes=axes)


def _export(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    *,
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> None:
    with warnings.catch_warnings():
        # The tracing exporter is on its way out, but the newer one fails on NMS; parity is checked after every export.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.eval(),
            example,
            str(path),
            dynamo=False,
            input_names=[name for name in axes if name not in outputs],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
        )


def store_in_half(source: Path, target: Path) -> None:
    """Rewrite a graph so that large float32 constants are stored as float16 behind a cast; arithmetic stays float32."""
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for constant in list(graph.initializer):
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < LARGE or "anchors" in constant.name:
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), f"{constant.name}.half")
        graph.initializer.remove(constant)
        graph.initializer.append(half)
        casts.append(helper.make_node("Cast", [half.name], [constant.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, target)
