"""A models folder whose graphs cost next to nothing: they look at mean colours, and give the same numbers every time."""

import hashlib
import io
import math
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serving.core.modelcard import ModelCard
from tests.fakes import CELL, STRIDE, VERIFIER_WINDOW, WINDOW, make_cards

OPSET = 18


def write_quick_models(root: Path, version: str = "0.0.1", *, scale: float = 60.0) -> Path:
    """Write a version of Reg-NS and Det below `root`; gives `root`. The scores of another `scale` are others."""
    graphs = (quick_screening(scale), quick_detection())
    for card, graph in zip(make_cards(screening=0.9, detection=0.3), graphs, strict=True):
        write_quick_model(root, card.model_copy(update={"version": version}), graph)
    return root


def write_quick_model(
    root: Path, card: ModelCard, graph: onnx.GraphProto, *, opset: int = OPSET, window: int = WINDOW
) -> Path:
    """Write one model with its card and its parity sample; gives the version's folder."""
    folder = root / card.name / card.version
    folder.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    tiles = {"screening": (1, 2 * WINDOW, 2 * WINDOW, 3), "triage": (2, 8 * CELL, 4 * CELL, 3)}
    shape = tiles.get(card.task, (2, window, window, 3))
    (folder / "parity.npz").write_bytes(_make_sample(model, graph.input[0].name, shape))
    return restate(folder, card)


@cache
def _make_sample(model: bytes, name: str, shape: tuple[int, ...]) -> bytes:
    return run_sample(model, name, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def run_sample(model: bytes | Path, name: str, sample: NDArray[np.uint8]) -> bytes:
    """The content of a parity sample; `name` is the input's."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {name: sample}), strict=True))
    content = io.BytesIO()
    np.savez_compressed(content, input=sample, **outputs)
    return content.getvalue()


def restate(folder: Path, card: ModelCard) -> Path:
    """Write a card that states the files of `folder` as they are; gives `folder`."""
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.onnx", "parity.npz")}
    (folder / "card.json").write_text(card.model_copy(update={"files": files}).model_dump_json())
    return folder


def quick_light(output: str) -> onnx.GraphProto:
    """How bright a window is."""
    nodes = [
        helper.make_node("Cast", ["windows"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], [output]),
    ]
    constants = {"white": np.float32(255), "axes": np.asarray([1, 2, 3], np.int64)}
    windows = helper.make_tensor_value_info("windows", TensorProto.UINT8, ["N", None, None, 3])
    return helper.make_graph(
        nodes,
        "light",
        [windows],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def quick_screening(scale: float, *, stride: int = STRIDE) -> onnx.GraphProto:
    """The darker every fifth px of every fifth row of a sub-tile is in red, the higher its score."""
    every = math.gcd(5, stride)
    kernel, step = [WINDOW // every] * 2, [stride // every] * 2
    nodes = [
        helper.make_node("Slice", ["tiles", "start", "end", "sides", "every"], ["pixels"]),
        helper.make_node("Gather", ["pixels", "red"], ["plane"], axis=3),
        helper.make_node("Cast", ["plane"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "one"], ["channel"]),
        helper.make_node("AveragePool", ["channel"], ["pooled"], kernel_shape=kernel, strides=step),
        helper.make_node("Squeeze", ["pooled", "one"], ["mean"]),
        helper.make_node("Sub", ["white", "mean"], ["dark"]),
        helper.make_node("Div", ["dark", "scale"], ["scores"]),
    ]
    constants = {
        "red": np.asarray(0, np.int64),
        "one": np.asarray([1], np.int64),
        **_sample(every),
        "white": np.float32(255),
        "scale": np.float32(scale),
    }
    return helper.make_graph(
        nodes,
        "quick-screening",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "rows", "columns"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def quick_detection() -> onnx.GraphProto:
    """One box in the middle of every sub-tile, likelier the darker every fifth px of every fifth row is."""
    nodes = [
        helper.make_node("Slice", ["windows", "start", "end", "sides", "every"], ["pixels"]),
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
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
        **_sample(5),
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


def quick_triage(*, dark: float = 0.57, sharp: float = 60.0) -> onnx.GraphProto:
    """A cell is the likelier to hold a figure the darker its darkest round place of 16 px is in red.

    dark : share of red light that such a place takes where the probability is one half; sharp : how steeply it rises
    """
    nodes = [
        helper.make_node("Cast", ["tiles"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Div", ["half", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["taken"]),
        helper.make_node("Conv", ["taken", "round"], ["smooth"], pads=[3, 3, 4, 4]),
        helper.make_node("MaxPool", ["smooth"], ["darkest"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Sub", ["darkest", "dark"], ["above"]),
        helper.make_node("Mul", ["above", "sharp"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["cells"]),
        helper.make_node("Squeeze", ["cells", "last"], ["probabilities"]),
    ]
    disc = np.hypot(*np.mgrid[-3.5:4.5, -3.5:4.5]) <= 4
    kernel = np.zeros((1, 3, 8, 8), np.float32)
    kernel[0, 0] = disc / disc.sum()
    constants = {
        "white": np.float32(255),
        "one": np.float32(1),
        "round": kernel,
        "dark": np.float32(dark),
        "sharp": np.float32(sharp),
        "last": np.asarray([1], np.int64),
    }
    return helper.make_graph(
        nodes,
        "quick-triage",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", "rows", "columns"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def quick_verification(side: int = VERIFIER_WINDOW) -> onnx.GraphProto:
    """A window is the likelier a figure the darker it is."""
    nodes = [
        helper.make_node("Cast", ["windows"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["probabilities"]),
    ]
    constants = {"axes": np.asarray([1, 2, 3], np.int64), "white": np.float32(255), "one": np.float32(1)}
    return helper.make_graph(
        nodes,
        "quick-verification",
        [helper.make_tensor_value_info("windows", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def pale_middle(side: int = VERIFIER_WINDOW, *, across: int = 6, level: float = 110.0) -> onnx.GraphProto:
    """The paler in red the middle of a window is, the higher its probability: above one half from a value of `level` on.

    Of generated figures these are rings and anaphases; plates and clumps are dark in their middle.
    """
    first, last = (side - across) // 2, (side + across) // 2
    nodes = [
        helper.make_node("Slice", ["windows", "start", "end", "sides"], ["middle"]),
        helper.make_node("Cast", ["middle"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "level"], ["above"]),
        helper.make_node("Div", ["above", "width"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probabilities"]),
    ]
    constants = {
        "start": np.asarray([first, first, 0], np.int64),
        "end": np.asarray([last, last, 1], np.int64),
        "sides": np.asarray([1, 2, 3], np.int64),
        "axes": np.asarray([1, 2, 3], np.int64),
        "level": np.float32(level),
        "width": np.float32(15),
    }
    return helper.make_graph(
        nodes,
        "pale-middle",
        [helper.make_tensor_value_info("windows", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def darkest_place() -> onnx.GraphProto:
    """One box of 32 px around the place of a sub-tile whose surroundings are darkest in red."""
    side = WINDOW - 16 + 1
    nodes = [
        helper.make_node("Cast", ["windows"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["smooth"], kernel_shape=[16, 16], strides=[1, 1]),
        helper.make_node("Gather", ["smooth", "red"], ["plane"], axis=1),
        helper.make_node("Reshape", ["plane", "flat"], ["list"]),
        helper.make_node("ArgMin", ["list"], ["place"], axis=1, keepdims=1),
        helper.make_node("ReduceMin", ["list", "last"], ["value"], keepdims=1),
        helper.make_node("Div", ["place", "side"], ["row"]),
        helper.make_node("Mod", ["place", "side"], ["column"]),
        helper.make_node("Concat", ["column", "row", "column", "row"], ["corners"], axis=1),
        helper.make_node("Add", ["corners", "reach"], ["box"]),
        helper.make_node("Cast", ["box"], ["box-float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["box-float", "last"], ["boxes"]),
        helper.make_node("Div", ["value", "white"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["probabilities"]),
        helper.make_node("Shape", ["windows"], ["n"], start=0, end=1),
        helper.make_node(
            "ConstantOfShape", ["n"], ["counts"], value=helper.make_tensor("v", TensorProto.INT64, [1], [1])
        ),
    ]
    constants = {
        "red": np.asarray(0, np.int64),
        "flat": np.asarray([-1, side * side], np.int64),
        "last": np.asarray([1], np.int64),
        "side": np.asarray(side, np.int64),
        "reach": np.asarray([[-8, -8, 24, 24]], np.int64),
        "white": np.float32(255),
        "one": np.float32(1),
    }
    return helper.make_graph(
        nodes,
        "darkest-place",
        [helper.make_tensor_value_info("windows", TensorProto.UINT8, ["n", WINDOW, WINDOW, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 1, 4]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("counts", TensorProto.INT64, ["n"]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )


def _sample(every: int) -> dict[str, NDArray[np.int64]]:
    """What `Slice` needs to take every so many px of both sides of a picture."""
    values = {"start": [0, 0], "end": [2**31, 2**31], "sides": [1, 2], "every": [every, every]}
    return {name: np.asarray(value, np.int64) for name, value in values.items()}
