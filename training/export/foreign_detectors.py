"""Detectors of torchvision and of TIAToolbox as graphs of the serving contract."""

import sys
import tempfile
import types
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from serving.adoption.adopting import run_graph
from serving.adoption.contract import AdoptionContract, KongNetOutput, TorchvisionOutput
from serving.core.modelinput import Normalisation
from serving.registry.version_check import differences
from training.export.torch_weights import put_state, read_state

OPSET = 18
MOST_BOXES = 300
"""Boxes of a window that a torchvision detector gives at most."""
APART = {"probabilities": 1e-4, "boxes": 0.05}
"""How far ONNX Runtime may be from torch; boxes in px."""
_KONGNET = "tiatoolbox.models.architecture.kongnet"


class TorchvisionWindow(nn.Module):
    """One window through a torchvision detector: boxes, shape (1, M, 4), and probabilities of one class, shape (1, M)."""

    def __init__(self, detector: nn.Module, scale: float, label: int) -> None:
        super().__init__()
        self.detector, self.scale, self.label = detector, scale, label

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Windows : uint8, shape (1, side, side, 3)."""
        found = self.detector([windows[0].permute(2, 0, 1).float() / self.scale])[0]
        right = (found["labels"] == self.label).float() * found["scores"]
        # Of another class it is no box: it may lie where one of this class does.
        boxes = (right > 0).float()[:, None] * found["boxes"]
        boxes = torch.cat([boxes, torch.zeros((MOST_BOXES, 4))])[:MOST_BOXES]
        return boxes[None], torch.cat([right, torch.zeros(MOST_BOXES)])[:MOST_BOXES][None]


class MapNetwork(nn.Module):
    """Windows through a network that gives maps of logits: probabilities of one channel, shape (N, h, w)."""

    def __init__(self, network: nn.Module, pixels: Normalisation, channel: int) -> None:
        super().__init__()
        self.network, self.scale, self.channel = network, pixels.scale, channel
        self.mean, self.std = nn.Buffer(torch.tensor(pixels.mean)), nn.Buffer(torch.tensor(pixels.std))

    def forward(self, windows: Tensor) -> Tensor:
        """Windows : uint8, shape (N, side, side, 3)."""
        pixels = (windows.float() / self.scale - self.mean) / self.std
        return torch.sigmoid(self.network(pixels.permute(0, 3, 1, 2))[:, self.channel])


def make_module(contract: AdoptionContract, weights: Path) -> nn.Module:
    """The network of a contract with its weights, from windows to the outputs of its role.

    Raises
    ------
    ValueError
        If the weights are not the network's, cannot be read safely, or the network cannot be had here.
    """
    asked, pixels = contract.output, contract.pixels.normalisation
    if isinstance(asked, TorchvisionOutput):
        detector = _build_torchvision(asked, contract)
        put_state(detector, read_state(weights), asked.builder)
        return TorchvisionWindow(detector, pixels.scale, asked.label).eval()
    if isinstance(asked, KongNetOutput):
        network = build_kongnet(asked)
        put_state(network, read_state(weights), "KongNet")
        return MapNetwork(network, pixels, asked.channel).eval()
    raise ValueError(f"output.form is {asked.form}, which is of ONNX files: `mitoserve models adopt` takes them")


def export_module(module: nn.Module, contract: AdoptionContract, windows: NDArray[np.uint8]) -> bytes:
    """The graph of a module, which gives for the windows what torch gives.

    Raises
    ------
    ValueError
        If it gives something else.
    """
    boxes = contract.role == "boxes"
    names = ["boxes", "probabilities"] if boxes else ["probabilities"]
    # torchvision's detectors are traced for one picture; others for any number.
    axes = None if boxes else {name: {0: "n"} for name in ("windows", *names)}
    count = 1 if boxes else 2
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        path = Path(scratch) / "model.onnx"
        torch.onnx.export(
            module,
            (torch.from_numpy(windows[-count:].copy()),),
            path,
            input_names=["windows"],
            output_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        graph = path.read_bytes()
    apart = differences(run_graph(graph, windows), run_module(module, windows, names), APART)
    if far := {name: value for name, value in apart.items() if not value <= APART[name]}:
        raise ValueError(
            f"the exported graph differs from torch: {', '.join(f'{n} by {v:.2g}' for n, v in far.items())}"
        )
    return graph


def run_module(module: nn.Module, windows: NDArray[np.uint8], names: list[str]) -> dict[str, NDArray[Any]]:
    """What torch gives, window by window, by name."""
    parts = []
    with torch.inference_mode():
        for number in range(len(windows)):
            found = module(torch.from_numpy(windows[number : number + 1]))
            parts.append([t.numpy() for t in (found if isinstance(found, tuple) else (found,))])
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}


def _build_torchvision(asked: TorchvisionOutput, contract: AdoptionContract) -> nn.Module:
    build: Callable[..., nn.Module] | None = getattr(torchvision.models.detection, asked.builder, None)
    if build is None:
        raise ValueError(f"torchvision has no detector {asked.builder}; see torchvision.models.detection")
    own = "box_" if asked.builder.startswith("fasterrcnn") else ""
    pixels, side = contract.pixels.normalisation, contract.window_px
    return build(
        weights=None,
        weights_backbone=None,
        num_classes=asked.classes,
        # Windows are seen as they are.
        min_size=side,
        max_size=side,
        image_mean=list(pixels.mean),
        image_std=list(pixels.std),
        **{
            f"{own}score_thresh": contract.least_probability,
            f"{own}detections_per_img": MOST_BOXES,
            f"{own}nms_thresh": contract.nms_iou or 0.5,
        },
    )


def build_kongnet(asked: KongNetOutput) -> nn.Module:
    """KongNet as TIAToolbox has it, without weights.

    Raises
    ------
    ValueError
        If TIAToolbox, or what its module of KongNet imports, is not installed.
    """
    kongnet = _import_kongnet()
    network: nn.Module = kongnet.KongNet(
        num_heads=asked.heads,
        num_channels_per_head=[asked.channels] * asked.heads,
        target_channels=[asked.channel],
        min_distance=1,
        threshold_abs=0.5,
        wide_decoder=asked.wide,
    )
    return network


def _import_kongnet() -> Any:
    """The module of KongNet, without the rest of TIAToolbox: its packages import all of its tools and their dependencies."""
    found = find_spec("tiatoolbox")
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            "KongNet is in TIAToolbox, which asks for older releases of torch and timm than training uses: pip install "
            "--no-deps tiatoolbox==2.1.3 && pip install scikit-image"
        )
    root, empty = found.submodule_search_locations[0], []
    for name in ("tiatoolbox.models", "tiatoolbox.models.architecture"):
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = [str(Path(root, *name.split(".")[1:]))]
            sys.modules[name] = package
            empty.append(name)
    try:
        return import_module(_KONGNET)
    except ImportError as error:
        raise ValueError(f"TIAToolbox's KongNet does not load: {error}; pip install scikit-image") from error
    finally:
        for name in empty:
            del sys.modules[name]
