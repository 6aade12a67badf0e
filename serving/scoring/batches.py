"""Windows in batches of two sizes: a GPU prepares for each shape of a batch, which takes longer than computing one."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Outputs = list[NDArray[Any]]


def run_in_batches(windows: NDArray[np.uint8], run: Callable[[NDArray[np.uint8]], Outputs], most: int) -> Outputs:
    """What `run` gives for all windows, asked in batches of `most` or of a quarter of it.

    windows : uint8, shape (N, ...); the last batch is filled up with blank ones, whose outputs are dropped
    run : from a batch to arrays whose first axis is the batch
    """
    parts = []
    for start in range(0, len(windows), most):
        batch = windows[start : start + most]
        size = choose_batch_size(len(batch), most)
        if size > len(batch):
            blank = np.zeros((size - len(batch), *batch.shape[1:]), np.uint8)
            found = [output[: len(batch)] for output in run(np.concatenate([batch, blank]))]
        else:
            found = run(batch)
        parts.append(found)
    if not parts:
        return run(windows)
    return [np.concatenate(output) if len(parts) > 1 else output[0] for output in zip(*parts, strict=True)]


def choose_batch_size(count: int, most: int) -> int:
    """The size of the batch that `count` windows, at most `most`, go into."""
    quarter = max(most // 4, 1)
    return quarter if count <= quarter else most
