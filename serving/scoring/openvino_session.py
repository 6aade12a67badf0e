"""A graph on OpenVINO, behind the interface of an ONNX Runtime session: twice as fast on CPUs that compute in bfloat16."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.scoring.tuning import choose_threads

PRECISIONS = {"OpenVINO": "f32", "OpenVINO-bf16": "bf16"}
"""Providers that OpenVINO gives, and what they compute in. Rounding to bfloat16 moves results; the first does not."""
_CAPABILITY = {"f32": "FP32", "bf16": "BF16"}
_POLL_MS = 20
_TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)", "i64": "tensor(int64)"}
"""OpenVINO's names of the contract's types, as ONNX Runtime has them."""


class Stop(Protocol):
    """What ends a computation from another thread: `onnxruntime.RunOptions`."""

    terminate: bool


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph."""

    name: str
    type: str
    shape: Sequence[int | None]
    """Of each axis its size, or None where it is free."""


class OpenVinoSession:
    """One graph, compiled for this CPU.

    Raises
    ------
    RuntimeError
        If OpenVINO cannot read or compile it; the type is OpenVINO's own choice.
    """

    def __init__(self, path: Path, provider: str) -> None:
        import openvino  # noqa: PLC0415  # optional, and 0.2 s to import

        self._provider = provider
        core = openvino.Core()
        model = core.read_model(path)
        # Compiling joins nodes, and a tensor then has the names of them all.
        self._inputs, self._outputs = ([_port(port) for port in ports] for ports in (model.inputs, model.outputs))
        self._graph: Any = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISIONS[provider],
                "INFERENCE_NUM_THREADS": choose_threads(provider),
                "PERFORMANCE_HINT": "LATENCY",
            },
        )

    def get_inputs(self) -> list[Port]:
        """As ONNX Runtime's."""
        return self._inputs

    def get_outputs(self) -> list[Port]:
        """As ONNX Runtime's."""
        return self._outputs

    def get_providers(self) -> list[str]:
        """As ONNX Runtime's."""
        return [self._provider]

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], stop: Stop | None = None) -> list[Any]:
        """The outputs named, as arrays of their own; a request each, so that threads do not wait for one another.

        Raises
        ------
        RuntimeError
            If `stop.terminate` was set before the end.
        """
        request = self._graph.create_infer_request()
        request.start_async({name: np.ascontiguousarray(array) for name, array in feeds.items()})
        while not request.wait_for(_POLL_MS):
            if stop is not None and stop.terminate:
                request.cancel()
        request.wait()
        return [request.get_tensor(name).data.copy() for name in names]


def missing(provider: str) -> str | None:
    """Why a provider of `PRECISIONS` cannot run here, and what to do; None where it can."""
    if importlib.util.find_spec("openvino") is None:
        return f"{provider} needs the package openvino: pip install 'mitoserve[openvino]'"
    import openvino  # noqa: PLC0415

    needed = _CAPABILITY[PRECISIONS[provider]]
    if needed not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return (
            f"{provider} needs a CPU that computes in bfloat16 (AVX-512 BF16 or AMX); this one does not: use OpenVINO"
        )
    return None


def _port(port: Any) -> Port:
    kind = port.get_element_type().get_type_name()
    sizes = [side.get_length() if side.is_static else None for side in port.get_partial_shape()]
    return Port(port.get_any_name(), _TYPES.get(kind, kind), sizes)
