"""The regions model of tests: a network with fixed weights that tells two stains of generated tissue, and glass, apart by colour."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from serving.adoption.adopting import write_version
from serving.adoption.contract import AdoptionContract
from serving.adoption.graphs import wrap_network
from serving.core.geometry import Region
from serving.synthetic.field import SyntheticTissue

TURN = 50.0
"""Degrees by which the eosin of the other tissue is bluer."""
_POOL = 16
"""Px of 1 um."""
_MIDDLE, _STEEP, _LIGHT = 0.057, 60.0, 2.6
"""Blue less green light of 64 x 64 px at 0.25 um is .142 to .251 in common tissue and -.193 to -.028 in the other, over eight seeds; glass
has red, green and blue of 2.9 together, tissue of 2.1 at most."""
CLASSES = [
    {"name": "Tumor", "use": "within"},
    {"name": "Necrosis", "use": "exclude"},
    {"name": "Glass", "use": "shown"},
]
Corners = Sequence[tuple[float, float]]


def write_network(path: Path) -> Path:
    """The network as its makers would export it: normalised floats in, logits of three classes at a sixteenth of the side out."""
    weights = np.asarray([[0, -_STEEP, _STEEP], [0, _STEEP, -_STEEP], [_STEEP] * 3], np.float32)
    bias = np.asarray([-_STEEP * _MIDDLE, _STEEP * _MIDDLE, -_STEEP * _LIGHT], np.float32)
    # Of v = (x + 1) / 2, where x is what it is fed.
    bias = (bias + weights.sum(1) / 2).astype(np.float32)
    weights = (weights[:, :, None, None] / 2).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["pooled"], kernel_shape=[_POOL] * 2, strides=[_POOL] * 2),
        helper.make_node("Conv", ["pooled", "weights", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, "rows", "columns"])],
        [numpy_helper.from_array(value, name) for name, value in (("weights", weights), ("bias", bias))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def state_regions(**changed: Any) -> dict[str, Any]:
    """The contract of `write_network`, as a YAML file states it."""
    return {
        "role": "regions",
        "version": "1.0.0",
        "architecture": "one convolution",
        "licence": "Apache-2.0",
        "source": "tests/miniatures/regions.py",
        "mpp": 1.0,
        "window_px": 256,
        "overlap_px": 64,
        "pixels": {"normalisation": {"scale": 255, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}},
        "output": {"form": "classes", "activation": "softmax"},
        "tissue_classes": CLASSES,
        "least_part_mm2": 0.002,
        **changed,
    }


def write_regions_model(root: Path, **changed: Any) -> Path:
    """Write a version of it below `root`; gives its folder."""
    root.mkdir(parents=True, exist_ok=True)
    contract = AdoptionContract.model_validate(state_regions(**changed))
    source = write_network(root / "network.onnx")
    folder = root / "regions" / contract.version
    write_version(wrap_network(source, contract), contract, folder, weights="fixed", parameters=12)
    source.unlink()
    return folder


def draw_two_kinds(
    seed: int, width: int, height: int, tumour: Corners, hole: Corners = ()
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]]:
    """Generated tissue of common stain inside a polygon with a hole, or none, and of the other around it.

    Gives the pixels, the middles of all figures, (x, y), shape (N, 2), and which of them lie in the tumour.
    """
    whole = Region(0, 0, width, height)
    common, other = (SyntheticTissue(seed, 250.0, 100.0, stain_turn=turn) for turn in (0.0, TURN))
    mask = Image.new("1", (width, height))
    pen = ImageDraw.Draw(mask)
    pen.polygon(list(tumour), fill=1)
    if hole:
        pen.polygon(list(hole), fill=0)
    inside = np.asarray(mask)
    pixels = np.where(inside[..., None], common.draw(whole), other.draw(whole))
    figures = [cell for cell in common.cells_near(whole) if cell.kind == "figure"]
    middles = np.asarray([(c.x, c.y) for c in figures if 0 <= c.x < width and 0 <= c.y < height], np.float64)
    return pixels, middles, inside[middles[:, 1].astype(int), middles[:, 0].astype(int)]
