"""Weights and activations in eight bits, where that costs little: convolutions between the first and the heads."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

BATCH = 8
PROPOSAL_HEAD = "/head/"
"""How the exporter's names of the proposal head's nodes begin: `DetectorGraph` calls `rpn.head`."""


def store_in_int8(source: Path, target: Path, windows: NDArray[np.uint8]) -> None:
    """Rewrite a graph with quantised convolutions: u8 activations, s8 weights a channel, QDQ form.

    The first convolution and the heads stay in float32: there the scores are made, and full int8 clips high ones.

    windows : uint8, shape (N, 250, 250, 3), whose activations set the ranges: real ones, figures among them
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Symbolic shapes fail on graphs with suppression; sizes of activations are not needed.
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(prepared)
        quantize_static(
            str(prepared),
            str(target),
            _Windows(model.graph.input[0].name, windows),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_kept_in_float(model),
            calibrate_method=CalibrationMethod.MinMax,
        )


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """The first convolution, and those of a detector's proposal head."""
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    return [convolutions[0], *(name for name in convolutions[1:] if name.startswith(PROPOSAL_HEAD))]


class _Windows(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of windows, as the graph takes them: a window is a tile with one sub-tile."""

    def __init__(self, name: str, windows: NDArray[np.uint8]) -> None:
        self._batches: Iterator[dict[str, NDArray[np.uint8]]] = (
            {name: windows[start : start + BATCH]} for start in range(0, len(windows), BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)
