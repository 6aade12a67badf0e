"""Maps of one network from two tools: how far apart they are."""

from pathlib import Path

import numpy as np

from benchmarks.peers.lattice import UnequalError

TOLERANCE = 1e-4
"""Of probabilities, between any two of TIAToolbox, our torch and ONNX Runtime."""


def compare_maps(ours: Path, theirs: Path) -> float:
    """The largest difference of two probabilities; raises `UnequalError` where it is more than `TOLERANCE`."""
    apart = float(np.abs(np.load(ours) - np.load(theirs)).max())
    if not apart <= TOLERANCE:
        raise UnequalError(f"TIAToolbox's maps are {apart:g} off where {TOLERANCE:g} is allowed")
    return apart
