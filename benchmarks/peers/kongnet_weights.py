"""KongNet with random weights: a checkpoint as TIAToolbox stores them, and the version that adoption makes of it.

`python -m benchmarks.peers.kongnet_weights SLIDE PACKAGES OUT` writes `kongnet.pth`, `windows.npy`, `maps.npy` and `models/` below OUT.
PACKAGES is where TIAToolbox is installed; everything that is installed here comes first.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serving.adoption.adopting import adopt_weights, make_windows
from serving.adoption.contract import AdoptionContract, KongNetOutput, read_contract
from serving.adoption.weights import find_weights
from serving.core.geometry import Region, WorkFrame
from serving.scoring.reading import read_mirrored
from serving.slides.opening import open_slide
from training.export.foreign_detectors import build_kongnet, export_module, make_module, run_module

CONTRACT = Path(__file__).with_name("kongnet.yaml")
_SEED = 4
_REAL = 6
"""Windows of the slide that the comparison of torch and ONNX Runtime sees, beside white, black, sparse and crowded ones."""
_SPREAD = 0.7
"""Between the logit of the threshold and that of half of all places."""
_LIKELY = 0.9999
"""Share of places that are less likely than the contract's threshold: a slide has some figures, and most of it is none."""


def main(slide: Path, packages: str, out: Path) -> None:
    """Write everything."""
    sys.path.append(packages)
    contract = read_contract(CONTRACT)
    windows = np.concatenate([make_windows(contract), _read_windows(slide, contract)])
    checkpoint = out / "kongnet.pth"
    torch.save({"model": make_random_state(contract, windows)}, checkpoint)
    found = find_weights(checkpoint)
    module = make_module(contract, found.path)
    parameters = sum(p.numel() for p in module.parameters())
    graph = export_module(module, contract, windows)  # refused where it is more than 1e-4 off on any of them
    adopt_weights(graph, contract, found, out / "models", parameters=parameters, note=", as float32")
    np.save(out / "windows.npy", windows)
    np.save(out / "maps.npy", run_module(module, windows, ["probabilities"])["probabilities"])


def make_random_state(contract: AdoptionContract, windows: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Random weights whose normalisation knows the statistics of real windows, and whose map passes the threshold here and there."""
    if not isinstance(contract.output, KongNetOutput) or contract.threshold is None:
        raise ValueError("the contract is not of KongNet")
    torch.manual_seed(_SEED)
    network = build_kongnet(contract.output)
    pixels = contract.pixels.normalisation
    seen = torch.from_numpy(windows).float() / pixels.scale
    seen = ((seen - torch.tensor(pixels.mean)) / torch.tensor(pixels.std)).permute(0, 3, 1, 2)
    network.eval()
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for layer in norms:
            layer.momentum = None
            layer.train()
        # White and black too: of what no statistics know, a deep network makes numbers that end in rounding errors.
        network(seen[[0, 1, *range(2, len(seen), 2)]])
        network.eval()
        logits = torch.cat([network(one[None]) for one in seen[-_REAL:]])
        # The last layer is moved and flattened: few places pass, and rounding errors of a deep network stay small.
        middle, high = (float(np.quantile(logits.numpy(), share)) for share in (0.5, _LIKELY))
        p = contract.threshold.probability
        gain = _SPREAD / (high - middle)
        last = [layer for layer in network.heads.modules() if isinstance(layer, nn.Conv2d)][-1]  # type: ignore[union-attr]
        last.weight.mul_(gain)
        if last.bias is not None:
            last.bias.mul_(gain).add_(np.log(p / (1 - p)) - high * gain)
    return {name: value.contiguous() for name, value in nn.Module.state_dict(network).items()}


def _read_windows(path: Path, contract: AdoptionContract) -> NDArray[np.uint8]:
    """Windows of a slide along its diagonal, uint8, shape (`_REAL`, side, side, 3)."""
    side = contract.window_px
    with open_slide(path) as slide:
        if slide.mpp is None:
            raise ValueError(f"{path} states no microns per px")
        frame = WorkFrame.from_mpp(slide.mpp, contract.mpp)
        width, height = frame.size_to_work(slide.width, slide.height)
        places = [(i * (width - side) // (_REAL - 1), i * (height - side) // (_REAL - 1)) for i in range(_REAL)]
        return np.stack([read_mirrored(slide, frame, Region(x, y, side, side)) for x, y in places])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
