"""A models folder whose graphs cost next to nothing: they look at mean colours, and give the same numbers every time."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fakes import STRIDE, WINDOW, make_cards

_OPSET = 18


def write_quick_models(root: Path) -> Path:
    """Write Reg-NS and Det below `root`; gives `root`."""
    for card, graph in zip(make_cards(screening=0.9, detection=0.3), (_screening(), _detection()), strict=True):
        folder = root / card.name / card.version
        folder.mkdir(parents=True)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
        onnx.checker.check_model(model)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        stated = card.model_dump(mode="json")
        stated["files"] = {"model.onnx": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()}
        (folder / "card.json").write_text(json.dumps(stated))
    return root


def _screening() -> onnx.GraphProto:
    """The darker a sub-tile in red, the higher its score."""
    nodes = [
        helper.make_node("Cast", ["tiles"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["pooled"], kernel_shape=[WINDOW, WINDOW], strides=[STRIDE, STRIDE]),
        helper.make_node("Gather", ["pooled", "red"], ["plane"], axis=1),
        helper.make_node("Sub", ["white", "plane"], ["dark"]),
        helper.make_node("Div", ["dark", "scale"], ["scores"]),
    ]
    constants = {"red": np.asarray(0, np.int64), "white": np.float32(255), "scale": np.float32(60)}
    return helper.make_graph(
        nodes,
        "quick-screening",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "rows", "columns"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def _detection() -> onnx.GraphProto:
    """One box in the middle of every sub-tile, likelier the darker the sub-tile is."""
    nodes = [
        helper.make_node("Cast", ["windows"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Unsqueeze", ["dark", "last"], ["probabilities"]),
        helper.make_node("Shape", ["dark"], ["n"]),
        helper.make_node("Concat", ["n", "tail"], ["shape"], axis=0),
        helper.make_node("Expand", ["box", "shape"], ["boxes"]),
        helper.make_node(
            "ConstantOfShape", ["n"], ["counts"], value=helper.make_tensor("v", TensorProto.INT64, [1], [1])
        ),
    ]
    constants = {
        "axes": np.asarray([1, 2, 3], np.int64),
        "white": np.float32(255),
        "one": np.float32(1),
        "last": np.asarray([1], np.int64),
        "tail": np.asarray([1, 4], np.int64),
        "box": np.asarray([[[105, 105, 145, 145]]], np.float32),
    }
    return helper.make_graph(
        nodes,
        "quick-detection",
        [helper.make_tensor_value_info("windows", TensorProto.UINT8, ["n", 250, 250, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 1, 4]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("counts", TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
