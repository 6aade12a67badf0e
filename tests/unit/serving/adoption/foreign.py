"""The networks inside the miniatures, as others would export them: floats in, raw outputs out."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from tests.miniatures.cards import BOXES_MPP, BOXES_OVERLAP, BOXES_PX, HERE, POINTS_MPP, POINTS_OVERLAP, POINTS_PX

PIXELS = {"normalisation": {"scale": 255, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}
THRESHOLD = {"probability": 0.5, "how_chosen": "by hand", "data": "generated tissue", "achieved": "not measured"}


def cut_network(name: str, outputs: list[str]) -> Any:
    """The part of a miniature behind its normalisation: float32, (n, 3, h, w), called pixels."""
    model = onnx.shape_inference.infer_shapes(onnx.load(HERE / f"{name}.onnx"))
    cut = onnx.utils.Extractor(model).extract_model(["/trunk/Div_1_output_0"], outputs)
    for node in cut.graph.node:
        node.input[:] = ["pixels" if value == "/trunk/Div_1_output_0" else value for value in node.input]
    cut.graph.input[0].name = "pixels"
    return cut


def write_map(path: Path) -> Path:
    """Logits, shape (n, 1, h, w)."""
    onnx.save(cut_network("points", ["/head/Conv_output_0"]), path)
    return path


def write_boxes(path: Path) -> Path:
    """Boxes and probabilities, each a tensor."""
    onnx.save(cut_network("boxes", ["boxes", "probabilities"]), path)
    return path


def write_ultralytics(path: Path, *, classes: int = 2) -> Path:
    """One tensor, shape (n, 4 + classes, m); figures are the last class, and the others are never likely."""
    cut = cut_network("boxes", ["boxes", "probabilities"])
    graph = cut.graph
    to_middles = np.asarray([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]], np.float32)
    graph.initializer.append(numpy_helper.from_array(to_middles, "to_middles"))
    graph.initializer.append(numpy_helper.from_array(np.asarray([2], np.int64), "last"))
    graph.initializer.append(numpy_helper.from_array(np.float32(0), "nought"))
    graph.node.extend(
        [
            helper.make_node("MatMul", ["boxes", "to_middles"], ["middles"]),
            helper.make_node("Unsqueeze", ["probabilities", "last"], ["column"]),
            helper.make_node("Mul", ["column", "nought"], ["never"]),
            helper.make_node("Concat", ["middles", *["never"] * (classes - 1), "column"], ["rows"], axis=2),
            helper.make_node("Transpose", ["rows"], ["output0"], perm=[0, 2, 1]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["n", 4 + classes, None]))
    onnx.save(cut, path)
    return path


def state_map(**changed: Any) -> dict[str, Any]:
    """The contract of `write_map`."""
    return {
        **_state(POINTS_MPP, POINTS_PX, POINTS_OVERLAP),
        "output": {"form": "map", "activation": "sigmoid"},
        **changed,
    }


def state_boxes(output: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The contract of the other two."""
    return {**_state(BOXES_MPP, BOXES_PX, BOXES_OVERLAP), "output": output, **changed}


def write_contract(path: Path, stated: dict[str, Any]) -> Path:
    """A contract as a file."""
    path.write_text(yaml.safe_dump(stated))
    return path


def _state(mpp: float, window: int, overlap: int) -> dict[str, Any]:
    return {
        "version": "1.0.0",
        "architecture": "five convolutions",
        "licence": "Apache-2.0",
        "source": "tests/miniatures/train.py",
        "mpp": mpp,
        "window_px": window,
        "overlap_px": overlap,
        "pixels": PIXELS,
        "threshold": THRESHOLD,
        "least_probability": 0.2,
    }
