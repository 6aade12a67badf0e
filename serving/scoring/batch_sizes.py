"""How much the models are given at once, by what computes them, and windows in batches of such sizes."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.scoring.gpus import gpus, memory_bytes

DETECT_BATCH = 16
"""Sub-tiles that Det sees at once, gathered across tiles: more are no faster on a CPU."""
VERIFY_BATCH = 32
"""Windows that the verifier sees at once."""
READERS = 2
"""OpenSlide releases the GIL and two threads on one handle scale; more would take cores from inference."""
AHEAD = 4
"""Patches in flight, 4.7 MB each: what keeps inference fed, and all that memory ever holds."""
CONCURRENT_PROVIDERS = ("CPUExecutionProvider", "CPU-int8")
"""Of those on a processor, the ones that compute what several threads ask at the same time. OpenVINO, set to answer one as soon as it can, does not."""
GPU_PROVIDERS = ("CUDA-fp16", "CUDAExecutionProvider", "TensorrtExecutionProvider")


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """What is computed at once.

    tiles : equally large tiles that one call of Reg-NS sees at most
    windows : sub-tiles that one call of Det sees
    candidates : windows that one call of the verifier sees
    chunks : chunks of tiles computed at once, each by a thread of its own; 1 is the calling thread, tile by tile
    readers : threads that read
    ahead : patches in flight between reading and computing
    light_tiles : tiles computed at once, each by a thread of its own, where a light net leaves little of each to the other models:
        several threads on one small graph wait for one another
    """

    tiles: int
    windows: int
    candidates: int
    chunks: int
    readers: int
    ahead: int
    light_tiles: int = 1


GPU = BatchSizes(tiles=8, windows=64, candidates=256, chunks=4, readers=12, ahead=24)
"""Where a GPU computes, processors read: as many threads as there are cores but two, up to that number."""
SMALL_GPU = BatchSizes(tiles=2, windows=16, candidates=64, chunks=2, readers=12, ahead=24)
"""For GPUs of less than `LARGE_BYTES`: an eighth of the pixels at once. With the numbers of `GPU` an H200 used up to 42 GiB."""
LARGE_BYTES = 60 << 30


def choose_batch_sizes(provider: str) -> BatchSizes:
    """What suits an execution provider: one tile after the other on a CPU, many of everything on a GPU."""
    if provider not in GPU_PROVIDERS:
        light_tiles = cores() if provider in CONCURRENT_PROVIDERS else 1
        return BatchSizes(1, DETECT_BATCH, VERIFY_BATCH, 1, READERS, AHEAD, light_tiles)
    readers = min(max(cores() - 2, READERS), GPU.readers)
    pace = GPU if memory_bytes() >= LARGE_BYTES else SMALL_GPU
    return replace(pace, chunks=pace.chunks * max(gpus(), 1), readers=readers, ahead=2 * readers)


def find_rounding(provider: str) -> str | None:
    """What a provider rounds to, where that moves results by more than another order of additions would.

    Results are told apart by it, so eight bits come with the number of their recipe.
    """
    return {"OpenVINO-bf16": "bf16", "CUDA-fp16": "fp16", "CPU-int8": "int8-2"}.get(provider)


def cores() -> int:
    """Processors that this process may use, or as many of them as `use_cores` left it."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([mine, *_most])


def use_cores(most: int) -> None:
    """Let models that this process loads from now on, and its readers, take no more than `most` processors.

    For a process that shares its machine with others of its kind: it is set once, before anything is loaded.
    """
    _most[:] = [most]


_most: list[int] = []


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
