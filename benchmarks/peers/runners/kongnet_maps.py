"""TIAToolbox's KongNet on windows: `python -m benchmarks.peers.runners.kongnet_maps kongnet.pth windows.npy maps.npy`."""

import sys
from pathlib import Path

import numpy as np
import torch
from tiatoolbox.models.architecture.kongnet import KongNet

from benchmarks.peers.runners.with_kongnet import load_network


def main(checkpoint: Path, windows: Path, maps: Path) -> None:
    """Write probabilities, float32, shape (N, side, side), of windows, uint8, shape (N, side, side, 3)."""
    network = load_network(checkpoint, channels_last=False)
    pixels = (torch.from_numpy(KongNet.preproc(window))[None] for window in np.load(windows))
    found = [KongNet.infer_batch(network, one, device="cpu")[..., 0] for one in pixels]
    np.save(maps, np.concatenate(found))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
