"""A network as the graph that its role asks for: bytes in, probabilities and boxes out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from serving.adoption.contract import AdoptionContract, BoxesOutput, ClassesOutput, MapOutput, UltralyticsOutput
from serving.core.errors import ModelError
from serving.core.tissue_classes import TissueClass

OPSET = 18
"""Which older graphs are brought to; a newer one is kept where it is served (serving/registry/opset.py)."""
NEWEST = 21
MOST_BYTES = (1 << 31) - (1 << 20)
"""Of one file of protobuf."""
_PREFIX = "network/"


def wrap_network(path: Path, contract: AdoptionContract) -> bytes:
    """The graph of a network in the serving contract of its role, serialised.

    Raises
    ------
    ModelError
        If the package onnx is missing, the file is no ONNX graph, or its inputs and outputs are not what the contract states.
    """
    try:
        import onnx  # noqa: PLC0415  # optional, and a second to import
    except ImportError as error:
        raise ModelError("adopting a model needs the package onnx: pip install 'mitoserve[int8]'") from error
    try:
        network = onnx.load(path)
        network = _bring_to_opset(onnx, network)
        return _wrap(onnx, network, contract)
    except ModelError:
        raise
    except Exception as error:  # protobuf and onnx raise types of their own that share no base
        raise ModelError(f"{path.name} is no ONNX graph that can be used: {error!s:.500}") from error


def _bring_to_opset(onnx: Any, network: Any) -> Any:
    known = [entry.version for entry in network.opset_import if entry.domain in ("", "ai.onnx")]
    if not known:
        raise ModelError("the file is no ONNX graph: it states no operator set")
    if known[0] > NEWEST:
        raise ModelError(
            f"the graph uses opset {known[0]}; up to {NEWEST} is served: export it with opset_version={OPSET}"
        )
    return network if known[0] >= OPSET else onnx.version_converter.convert_version(network, OPSET)


def _wrap(onnx: Any, network: Any, contract: AdoptionContract) -> bytes:
    weights = {tensor.name for tensor in network.graph.initializer}
    inputs = [tensor for tensor in network.graph.input if tensor.name not in weights]
    if len(inputs) != 1:
        raise ModelError(
            f"the graph takes {len(inputs)} inputs ({', '.join(t.name for t in inputs)}); a detector takes one"
        )
    taken = inputs[0].type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in taken.shape.dim]
    _check_input(sizes, contract)
    network = onnx.compose.add_prefix(network, _PREFIX)
    side, first = contract.window_px, sizes[0] or "n"
    made = _Nodes(onnx)
    _feed(made, contract, _PREFIX + inputs[0].name, taken.elem_type)
    outputs = {tensor.name.removeprefix(_PREFIX): tensor for tensor in network.graph.output}
    kinds = _read(made, contract, outputs)
    before = [node for node in made.nodes if node in made.first]
    after = [node for node in made.nodes if node not in made.first]
    windows = onnx.helper.make_tensor_value_info("windows", onnx.TensorProto.UINT8, [first, side, side, 3])
    given = [
        onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, [first, *[f"{name}_{i}" for i in range(1, axes)]]
        )
        for name, axes in kinds.items()
    ]
    graph = onnx.helper.make_graph(
        [*before, *network.graph.node, *after],
        "detector",
        [windows],
        given,
        [*network.graph.initializer, *made.constants],
    )
    graph.sparse_initializer.extend(network.graph.sparse_initializer)
    model = onnx.helper.make_model(
        graph, opset_imports=list(network.opset_import), functions=list(network.functions), ir_version=10
    )
    if model.ByteSize() > MOST_BYTES:
        raise ModelError("the graph has more than 2 GiB; store its weights as float16")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _check_input(sizes: Sequence[int | None], contract: AdoptionContract) -> None:
    if len(sizes) != 4:
        raise ModelError(f"the graph's input has {len(sizes)} axes; pictures have 4")
    channels, *sides = (sizes[1], sizes[2], sizes[3]) if contract.pixels.layout == "nchw" else (sizes[3], *sizes[1:3])
    if channels not in (None, 0, 3):
        raise ModelError(
            f"the graph takes {channels} channels on the axis that pixels.layout {contract.pixels.layout} names; 3 are needed"
        )
    if fixed := [side for side in sides if side and side != contract.window_px]:
        raise ModelError(
            f"the graph takes windows of {fixed[0]} px, and the contract states window_px {contract.window_px}"
        )
    if sizes[0] and contract.batch not in (None, sizes[0]):
        raise ModelError(f"the graph takes {sizes[0]} windows at once, and the contract states batch {contract.batch}")


@dataclass
class _Nodes:
    """Nodes and constants that are put around a network."""

    onnx: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    first: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """A node; gives the name of its output."""
        self.nodes.append(
            self.onnx.helper.make_node(kind, list(inputs), [output], name=f"around/{output}", **attributes)
        )
        return output

    def hold(self, name: str, value: Any) -> str:
        """A constant; gives its name."""
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name


def _feed(made: _Nodes, contract: AdoptionContract, name: str, kind: int) -> None:
    """From bytes to what the network takes as `name`."""
    stated = contract.pixels.normalisation
    mean, std = (np.asarray(v, np.float32) for v in (stated.mean, stated.std))
    order = [0, 1, 2] if contract.pixels.colours == "rgb" else [2, 1, 0]
    now = made.add("Cast", ["windows"], "around/float", to=made.onnx.TensorProto.FLOAT)
    # Mean and std are stated of red, green and blue, whichever order the network takes.
    now = made.add("Div", [now, made.hold("around/scale", np.float32(stated.scale))], "around/scaled")
    now = made.add("Sub", [now, made.hold("around/mean", mean)], "around/centred")
    now = made.add("Div", [now, made.hold("around/std", std)], "around/normalised")
    if order != [0, 1, 2]:
        now = made.add(
            "Gather", [now, made.hold("around/order", np.asarray(order, np.int64))], "around/ordered", axis=3
        )
    if contract.pixels.layout == "nchw":
        now = made.add("Transpose", [now], "around/planes", perm=[0, 3, 1, 2])
    made.add("Cast", [now], name, to=kind)
    made.first = list(made.nodes)


def _read(made: _Nodes, contract: AdoptionContract, outputs: dict[str, Any]) -> dict[str, int]:
    """Add what makes the role's outputs of the network's; gives the axes of each, by name."""
    asked = contract.output
    if isinstance(asked, MapOutput):
        return _read_map(made, asked, outputs)
    if isinstance(asked, UltralyticsOutput):
        return _read_ultralytics(made, asked, outputs)
    if isinstance(asked, ClassesOutput):
        return _read_classes(made, asked, outputs, contract.tissue_classes or [])
    if isinstance(asked, BoxesOutput):
        return _read_boxes(made, asked, outputs, contract.window_px)
    raise ModelError(
        f"weights of the form {asked.form} are no ONNX graph: `python -m training adopt` makes one of them"
    )


def _choose(outputs: dict[str, Any], name: str | None) -> tuple[str, list[int | None]]:
    """The prefixed name and the sizes of an output; raises `ModelError`."""
    if name is None and len(outputs) == 1:
        name = next(iter(outputs))
    if name is None or name not in outputs:
        asked = "the contract names no tensor" if name is None else f"the contract names the tensor {name}"
        raise ModelError(f"{asked}, and the graph gives {', '.join(outputs) or 'nothing'}: name one of these")
    dims = outputs[name].type.tensor_type.shape.dim
    return _PREFIX + name, [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]


def _read_map(made: _Nodes, asked: MapOutput, outputs: dict[str, Any]) -> dict[str, int]:
    name, sizes = _choose(outputs, asked.tensor)
    if len(sizes) not in (3, 4):
        raise ModelError(f"the map has {len(sizes)} axes; give a tensor (n, channels, h, w) or (n, h, w)")
    now = made.add("Cast", [name], "around/map", to=made.onnx.TensorProto.FLOAT)
    if len(sizes) == 4:
        axis = 1 if asked.layout == "nchw" else 3
        if (channels := sizes[axis]) is not None and asked.channel >= channels:
            raise ModelError(f"the contract names channel {asked.channel}, and the map has {channels}")
        if asked.activation == "softmax":
            now = made.add("Softmax", [now], "around/shares", axis=axis)
        now = made.add("Gather", [now, made.hold("around/channel", np.int64(asked.channel))], "around/plane", axis=axis)
    elif asked.activation == "softmax":
        raise ModelError("softmax is over channels, and the map has none: state sigmoid or none")
    made.add("Sigmoid" if asked.activation == "sigmoid" else "Identity", [now], "probabilities")
    return {"probabilities": 3}


def _read_classes(
    made: _Nodes, asked: ClassesOutput, outputs: dict[str, Any], classes: Sequence[TissueClass]
) -> dict[str, int]:
    name, sizes = _choose(outputs, asked.tensor)
    axis = 1 if asked.layout == "nchw" else 3
    if len(sizes) != 4:
        raise ModelError(f"the map has {len(sizes)} axes; give a tensor (n, classes, h, w) or (n, h, w, classes)")
    if sizes[axis] not in (None, len(classes)):
        raise ModelError(f"the map has {sizes[axis]} planes, and the contract states {len(classes)} tissue_classes")
    now = made.add("Cast", [name], "around/map", to=made.onnx.TensorProto.FLOAT)
    if asked.activation != "none":
        softmax = {"axis": axis} if asked.activation == "softmax" else {}
        now = made.add(asked.activation.capitalize(), [now], "around/shares", **softmax)
    perm = [0, 1, 2, 3] if asked.layout == "nchw" else [0, 3, 1, 2]
    made.add("Transpose", [now], "probabilities", perm=perm)
    return {"probabilities": 4}


def _read_ultralytics(made: _Nodes, asked: UltralyticsOutput, outputs: dict[str, Any]) -> dict[str, int]:
    name, sizes = _choose(outputs, asked.tensor)
    if len(sizes) != 3:
        raise ModelError(f"the output has {len(sizes)} axes; Ultralytics gives (n, 4 + classes, m)")
    rows, count = sizes[1], sizes[2]
    if rows is not None and (rows < 5 or (count is not None and rows > count)):
        raise ModelError(
            f"the output is of shape (n, {rows}, {count}); Ultralytics gives (n, 4 + classes, m): export with nms=False"
        )
    if rows is not None and asked.label >= rows - 4:
        raise ModelError(f"the contract names class {asked.label}, and the output has {rows - 4} classes")
    now = made.add("Cast", [name], "around/packed", to=made.onnx.TensorProto.FLOAT)
    now = made.add("Transpose", [now], "around/rows", perm=[0, 2, 1])
    made.add("Gather", [now, made.hold("around/label", np.int64(4 + asked.label))], "probabilities", axis=2)
    corners = made.add("Gather", [now, made.hold("around/four", np.arange(4))], "around/corners", axis=2)
    _place_corners(made, corners, "cxcywh", 1.0)
    return {"boxes": 3, "probabilities": 2}


def _read_boxes(made: _Nodes, asked: BoxesOutput, outputs: dict[str, Any], side: int) -> dict[str, int]:
    boxes, sizes = _choose(outputs, asked.boxes)
    scores, shape = _choose(outputs, asked.scores)
    if len(sizes) != 3 or sizes[2] not in (None, 4) or len(shape) not in (2, 3):
        raise ModelError("boxes must be of shape (n, m, 4), and scores of shape (n, m) or (n, m, classes)")
    now = made.add("Cast", [scores], "around/scores", to=made.onnx.TensorProto.FLOAT)
    if len(shape) == 3:
        if shape[2] is not None and asked.label >= shape[2]:
            raise ModelError(f"the contract names class {asked.label}, and scores have {shape[2]}")
        if asked.activation == "softmax":
            now = made.add("Softmax", [now], "around/shares", axis=2)
        now = made.add("Gather", [now, made.hold("around/label", np.int64(asked.label))], "around/label_scores", axis=2)
    elif asked.activation == "softmax":
        raise ModelError("softmax is over classes, and scores have none: state sigmoid or none")
    made.add("Sigmoid" if asked.activation == "sigmoid" else "Identity", [now], "probabilities")
    corners = made.add("Cast", [boxes], "around/corners", to=made.onnx.TensorProto.FLOAT)
    _place_corners(made, corners, asked.corners, float(side) if asked.unit == "share" else 1.0)
    return {"boxes": 3, "probabilities": 2}


_TO_XYXY = {
    "xyxy": np.eye(4),
    "xywh": np.asarray([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]),
    "cxcywh": np.asarray([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]]),
}
"""Boxes as rows times this are x1, y1, x2, y2."""


def _place_corners(made: _Nodes, corners: str, kind: str, unit: float) -> None:
    matrix = made.hold("around/to_xyxy", (_TO_XYXY[kind] * unit).astype(np.float32))
    made.add("MatMul", [corners, matrix], "boxes")


def count_parameters(path: Path) -> int:
    """How many numbers the weights of a graph hold, at least one; raises `ModelError`."""
    import onnx  # noqa: PLC0415

    count: int = sum(math.prod(tensor.dims) for tensor in onnx.load(path).graph.initializer)
    return max(count, 1)
