"""Released graphs in half precision: which parts are, which are not, and that they still compute the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from serving.scoring.half_precision import HEAD_CHANNELS, convert_to_half
from serving.settings import default_models

MODELS = ["reg-ns", "det", "verifier"]
CPU = ["CPUExecutionProvider"]


def _rewritten(name: str) -> tuple[Path, onnx.ModelProto]:
    path = default_models() / name / "1.2.2" / "model.onnx"
    model = onnx.load_from_string(convert_to_half(path))
    onnx.checker.check_model(model, full_check=True)  # types too: no operator is given both precisions
    return path, model


def _products(model: onnx.ModelProto) -> Iterator[tuple[str, int, int]]:
    """Operator, outputs and the type of the weights that each product is given."""
    kinds = {tensor.name: (tensor.data_type, tensor.dims[0]) for tensor in model.graph.initializer}
    casts = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weights = node.input[1]
            source = casts.get(weights, weights)
            yield node.op_type, kinds[source][1], TensorProto.FLOAT if weights in casts else kinds[source][0]


@pytest.mark.parametrize("name", MODELS)
def test_trunks_are_float16_and_heads_float32(name: str) -> None:
    _, model = _rewritten(name)
    products = list(_products(model))
    for kind, outputs, given in products:
        assert given == (TensorProto.FLOAT16 if outputs >= HEAD_CHANNELS else TensorProto.FLOAT), (kind, outputs)
    assert sum(given == TensorProto.FLOAT16 for _, _, given in products) >= 40


@pytest.mark.parametrize("name", MODELS)
def test_inputs_outputs_and_results_are_those_of_the_released_graph(name: str) -> None:
    path, model = _rewritten(name)
    released = onnx.load(path)
    for ports in ("input", "output"):
        old, new = (
            [(p.name, p.type.tensor_type.elem_type) for p in getattr(m.graph, ports)] for m in (released, model)
        )
        assert new == old
    with np.load(path.with_name("parity.npz")) as sample:
        windows = sample["input"][:2, :250, :250]
        published = {key: sample[key] for key in sample.files if key == "probabilities"}
    (port,) = model.graph.input
    found, exact = (
        onnxruntime.InferenceSession(graph, providers=CPU).run(None, {port.name: windows})
        for graph in (model.SerializeToString(), path)
    )
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, atol=0.05 if name == "det" else 5e-3)
    for key, values in published.items():
        names = [output.name for output in model.graph.output]
        np.testing.assert_allclose(found[names.index(key)], values[: len(windows)], atol=5e-3)


def test_an_output_that_would_be_float16_is_refused(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((HEAD_CHANNELS, 3, 1, 1), np.float16), "w")
    nodes = [
        helper.make_node("Cast", ["w"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "wide"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, 4, 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weights])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    with pytest.raises(ValueError, match="y would come out of the trunk in float16"):
        convert_to_half(path)
