"""A released graph with its trunk in half precision, for GPUs: tensor cores multiply float16 and sum float32.

Files hold float16 weights behind casts to float32. Convolutions and large matrix products take them as they are, and what lies
between two of them stays float16; heads, that is products with a few outputs, normalisation, probabilities and boxes are float32.
"""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

HEAD_CHANNELS = 32
"""Products with fewer outputs are heads: scores, objectness, probabilities and box moves."""
_PRODUCTS = ("Conv", "Gemm")
_PASSING = ("Relu", "MaxPool", "Add", "Resize", "Flatten")
"""Stay float16 where what they work on is."""
_ON_FIRST_INPUT = ("Resize",)
"""Their other inputs are sizes."""
_FLOAT, _HALF = 1, 10
"""From onnx.TensorProto.DataType."""


def missing() -> str | None:
    """Why graphs cannot be rewritten here, and what to do; None where they can."""
    if importlib.util.find_spec("onnx") is None:
        return "half precision needs the package onnx: pip install 'mitoserve[gpu]'"
    return None


def convert_to_half(path: Path) -> bytes:
    """The graph in `path` with a float16 trunk, serialised; inputs and outputs are unchanged.

    Raises
    ------
    ValueError
        If an output of the graph would be float16.
    Exception
        If the file is no ONNX graph; the type is protobuf's own choice.
    """
    import onnx  # noqa: PLC0415  # optional, and 0.3 s to import

    model = onnx.load(path)
    graph = model.graph
    rewriting = _Rewriting(graph)
    nodes = [rewritten for node in graph.node for rewritten in rewriting.rewrite(node)]
    rewriting.check_outputs()
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(rewriting.constants)
    del graph.value_info[:]
    result: bytes = model.SerializeToString()
    return result


class _Rewriting:
    """One pass over a graph, whose nodes are in the order in which they are computed."""

    def __init__(self, graph: Any) -> None:
        from onnx import helper, numpy_helper  # noqa: PLC0415

        self._helper, self._numpy = helper, numpy_helper
        self._graph = graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._cast_of = {
            node.output[0]: node.input[0]
            for node in graph.node
            if node.op_type == "Cast" and node.input[0] in self._constants
        }
        self._half: set[str] = set()
        """Tensors that are float16 from here on, by the name that their float32 form had."""
        self._cast: dict[tuple[str, int], str] = {}
        self.constants: list[Any] = []

    def rewrite(self, node: Any) -> Iterable[Any]:
        """The node, with the casts that it needs in front."""
        half = self._is_half(node)
        casts = []
        for i, name in enumerate(node.input):
            if half and (i == 0 or node.op_type not in _ON_FIRST_INPUT):
                node.input[i], cast = self._as_half(name)
            else:
                node.input[i], cast = self._as_float(name)
            casts += cast
        if half:
            self._half.update(node.output)
        return [*casts, node]

    def check_outputs(self) -> None:
        """Make sure that the graph's outputs are still of their types; raises `ValueError`."""
        if halved := [output.name for output in self._graph.output if output.name in self._half]:
            raise ValueError(f"{', '.join(halved)} would come out of the trunk in float16")

    def _is_half(self, node: Any) -> bool:
        if node.op_type in _PRODUCTS:
            return self._outputs(node) >= HEAD_CHANNELS
        if node.op_type not in _PASSING:
            return False
        data = node.input[:1] if node.op_type in _ON_FIRST_INPUT else node.input
        return any(name in self._half for name in data) and all(
            name in self._half or name in self._constants or name in self._cast_of for name in data
        )

    def _outputs(self, node: Any) -> int:
        weights = self._constants.get(self._cast_of.get(node.input[1], node.input[1]))
        if weights is None:
            return 0
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return int(weights.dims[0] if node.op_type == "Conv" or transposed else weights.dims[1])

    def _as_half(self, name: str) -> tuple[str, list[Any]]:
        if not name or name in self._half:
            return name, []
        source = self._cast_of.get(name, name)
        constant = self._constants.get(source)
        if constant is None:
            return self._through_cast(name, _HALF)
        if constant.data_type == _HALF:
            return source, []
        if (name, _HALF) not in self._cast:
            self._cast[name, _HALF] = f"{name}_half"
            values = self._numpy.to_array(constant).astype(np.float16)
            self.constants.append(self._numpy.from_array(values, f"{name}_half"))
        return self._cast[name, _HALF], []

    def _as_float(self, name: str) -> tuple[str, list[Any]]:
        return self._through_cast(name, _FLOAT) if name in self._half else (name, [])

    def _through_cast(self, name: str, to: int) -> tuple[str, list[Any]]:
        if (name, to) in self._cast:
            return self._cast[name, to], []
        cast = f"{name}_{'half' if to == _HALF else 'float'}"
        self._cast[name, to] = cast
        return cast, [self._helper.make_node("Cast", [name], [cast], to=to)]
