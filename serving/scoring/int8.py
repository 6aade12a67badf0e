"""A released graph with its convolutions in eight bits, for CPUs: made from the file in float, once a machine.

Weights take eight bits a channel and activations eight bits a tensor, in ranges seen on sample windows. The first convolution
and the heads stay in float32: there the scores are made, and graphs that are eight bits throughout clip the high ones.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.scoring.tuning import cache_folder

INT8 = "CPU-int8"
"""Provider whose convolutions compute in eight bits."""
PROPOSAL_HEAD = "/head/"
"""How the exporter's names of a proposal head's nodes begin: `rpn.head`."""
SAMPLE = "parity.npz"
"""Beside a graph; its `input` is what ranges are taken from."""
_SCORES = 8
"""A convolution with fewer outputs gives scores."""
_RECIPE = "2"
"""Counts up when the same file would give another graph, here and in `batch_sizes.find_rounding`."""
_BATCH = 8
_HINDERS = ["QDQPropagationTransformer"]
"""It has the pooling after the first convolution done in eight bits, where it takes fifteen times as long and gives the same."""

_rewriting = threading.Lock()
"""Graphs are opened two at a time, but rewriting holds all activations of a batch."""
_log = logging.getLogger("mitoserve.models")


class Int8Session:
    """A graph on ONNX Runtime's CPU provider, whose convolutions compute in eight bits.

    path : model.onnx, with its sample beside it

    Raises
    ------
    FileNotFoundError
        If there is no sample.
    Exception
        If file or sample cannot be used; the type is the library's own choice.
    """

    def __init__(self, path: Path, options: onnxruntime.SessionOptions) -> None:
        self._session = onnxruntime.InferenceSession(
            _read_cached(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_HINDERS
        )

    def get_inputs(self) -> list[Any]:
        """As ONNX Runtime's."""
        inputs: list[Any] = self._session.get_inputs()
        return inputs

    def get_outputs(self) -> list[Any]:
        """As ONNX Runtime's."""
        outputs: list[Any] = self._session.get_outputs()
        return outputs

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], stop: Any = None) -> list[Any]:
        """As ONNX Runtime's."""
        found: list[Any] = self._session.run(names, feeds, stop)
        return found

    def get_providers(self) -> list[str]:
        """As ONNX Runtime's."""
        return [INT8]


def missing() -> str | None:
    """Why graphs cannot be rewritten here, and what to do; None where they can."""
    if importlib.util.find_spec("onnx") is None:
        return f"{INT8} needs the package onnx: pip install 'mitoserve[int8]'"
    return None


def quantise_to_int8(path: Path, batches: Sequence[NDArray[np.uint8]]) -> bytes:
    """The graph in `path` with quantised convolutions, serialised: u8 activations, s8 weights a channel, QDQ form.

    batches : what the graph takes, whose activations set the ranges: tissue with figures in it

    Raises
    ------
    Exception
        If the file is no ONNX graph or does not take the batches; the type is the library's own choice.
    """
    import onnx  # noqa: PLC0415  # optional, and a second to import with what follows
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static  # noqa: PLC0415
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as scratch:
        prepared, quantised = Path(scratch) / "prepared.onnx", Path(scratch) / "quantised.onnx"
        # Symbolic shapes fail on graphs with suppression; sizes of activations are not needed.
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        quantize_static(
            str(prepared),
            str(quantised),
            _Batches(graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # A rectifier after a convolution becomes the lower end of its range: all 256 values go to what is above zero.
            op_types_to_quantize=["Conv", "Relu", "Clip"],
            nodes_to_exclude=_find_float_nodes(graph),
            calibrate_method=CalibrationMethod.MinMax,
        )
        return quantised.read_bytes()


def _find_float_nodes(graph: Any) -> list[str]:
    """The first convolution, those with few outputs, those of a detector's proposal head, and clipping that follows none."""
    sizes = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    heads = (n for n in convolutions if n.name.startswith(PROPOSAL_HEAD) or sizes.get(n.input[1], 0) < _SCORES)
    # One that is clipped at 6, say, is treated as a rectifier; what else is clipped are places and sizes.
    made = {output for node in convolutions for output in node.output}
    others = (node for node in graph.node if node.op_type == "Clip" and node.input[0] not in made)
    return [node.name for node in [*convolutions[:1], *heads, *others]]


class _Batches:
    """What ONNX Runtime's calibration reads: `get_next` gives the graph's input by name, None after the last."""

    def __init__(self, name: str, batches: Sequence[NDArray[np.uint8]]) -> None:
        self._name = name
        self._left: Iterator[NDArray[np.uint8]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch; None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}

    def __iter__(self) -> Iterator[dict[str, NDArray[np.uint8]]]:
        return iter(self.get_next, None)


def _read_cached(path: Path) -> bytes:
    """The graph of `path` in eight bits, from this user's cache where it was made before."""
    graph, sample = path.read_bytes(), path.with_name(SAMPLE).read_bytes()
    key = hashlib.sha256()
    for part in (graph, sample, onnxruntime.__version__.encode(), _RECIPE.encode()):
        key.update(hashlib.sha256(part).digest())
    kept = cache_folder() / "graphs" / f"{key.hexdigest()}.onnx"
    with contextlib.suppress(OSError):
        return kept.read_bytes()
    _log.info("%s is rewritten in eight bits, once for this machine", path)
    with np.load(path.with_name(SAMPLE), allow_pickle=False) as stored:
        windows = stored["input"]
    with _rewriting:
        made = quantise_to_int8(path, _make_batches(path, windows))
    with contextlib.suppress(OSError):  # whoever has no room for a cache makes it anew each time
        _write(kept, made)
    return made


def _make_batches(path: Path, windows: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The sample in batches, of the graph's own size where it takes no other."""
    import onnx  # noqa: PLC0415

    fixed = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    size = fixed or _BATCH
    starts = range(0, len(windows) - size + 1 if fixed else len(windows), size)
    return [windows[start : start + size] for start in starts]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        os.unlink(part)
        raise
