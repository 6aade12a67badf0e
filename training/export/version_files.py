"""The graph and the parity sample of a version, each checked against torch before it is kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from serving.core.errors import ModelError
from training.export.onnx_files import store_in_half
from training.export.parity import write_parity

SCORE_TOLERANCE = 1e-4
BOX_TOLERANCE_PX = 0.05
"""Far below the 0.3 px at which the IoU of a 30 px box falls under 0.99."""
Export = Callable[[nn.Module, Path], None]
"""Writes a graph as an ONNX file; see `onnx_files`."""


def write_graph(folder: Path, graph: nn.Module, export: Export, sample: NDArray[np.uint8]) -> int:
    """Export a graph, compare it with torch, and add the parity sample.

    Parameters
    ----------
    folder
        Of the version; `model.onnx` and `parity.npz` are written into it.
    graph
        Whose weights are those of half precision, see `round_to_half`.
    sample
        What the graph is shown, uint8, of the shape that it takes.

    Returns
    -------
    int
        The number of parameters.

    Raises
    ------
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances.
    """
    export(graph, folder / "full.onnx")
    store_in_half(folder / "full.onnx", folder / "model.onnx")
    (folder / "full.onnx").unlink()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        result = graph(torch.from_numpy(sample))
    expected = [t.numpy() for t in (result if isinstance(result, tuple) else (result,))]
    names = [o.name for o in session.get_outputs()]
    found = session.run(None, {session.get_inputs()[0].name: sample})
    for name, a, b in zip(names, expected, found, strict=True):
        tolerance = BOX_TOLERANCE_PX if name == "boxes" else SCORE_TOLERANCE
        difference = float(np.abs(a - b).max())
        if a.shape != b.shape or difference > tolerance:
            raise ModelError(f"{name} of {folder.name}: ONNX Runtime and torch differ by {difference:g}")
    write_parity(folder / "parity.npz", sample, dict(zip(names, expected, strict=True)))
    return sum(p.numel() for p in graph.parameters())
