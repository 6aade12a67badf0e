"""The graphs alone: how many windows or tiles a second, at several sizes of batch, and from several threads."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.modelcard import load_card
from serving.scoring import cuda_session
from serving.scoring.cuda_session import CudaSession
from serving.scoring.session import Session
from serving.scoring.sessions import open_session

WARM = 2
TURN_S = 1.0
"""Seconds that one size is measured for, after `WARM` runs."""
MOST_TURNS = 40


def open_graph(folder: Path, provider: str, options: Mapping[str, str] | None = None) -> Session:
    """The model in a version folder. options : of the CUDA provider, over those that serving chooses."""
    if provider in cuda_session.PROVIDERS:
        return CudaSession(folder / "model.onnx", provider, options=options)
    return open_session(folder, load_card(folder), [provider])


def measure_rate(session: Session, inputs: NDArray[np.uint8], *, per_input: int = 1) -> dict[str, float]:
    """Windows a second of one thread, copies from and to host memory included.

    per_input : windows that one input holds
    """
    run = _runner(session, inputs)
    return _rate(run, len(inputs) * per_input)


def measure_on_device(
    session: CudaSession,
    inputs: NDArray[np.uint8],
    *,
    per_input: int = 1,
    shapes: Sequence[tuple[int, ...]] | None = None,
) -> dict[str, float]:
    """The same with the input on the GPU already and the outputs left there: the graph and nothing else.

    shapes : of the outputs, all float32; without them the graph is run once to know them
    """
    inner = session.session_for(inputs.shape)
    name, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    value = onnxruntime.OrtValue.ortvalue_from_numpy(inputs, "cuda", 0)
    binding = inner.io_binding()
    binding.bind_ortvalue_input(name, value)
    # Outputs where they stay: a captured graph writes to the same place again.
    found = session.run(names, {name: inputs}) if shapes is None else [np.empty(shape, np.float32) for shape in shapes]
    for output, array in zip(names, found, strict=True):
        binding.bind_ortvalue_output(output, onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0))

    def run() -> None:
        inner.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return _rate(run, len(inputs) * per_input)


def measure_together(
    session: Session, inputs: NDArray[np.uint8], *, threads: int, per_input: int = 1
) -> dict[str, float]:
    """Windows a second of several threads that ask at the same time."""
    run = _runner(session, inputs)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: run(), range(threads * WARM)))
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < TURN_S and count < MOST_TURNS * threads:
            list(pool.map(lambda _: run(), range(threads * 4)))
            count += threads * 4
        seconds = (time.perf_counter() - started) / count
    return {"batch": len(inputs), "threads": threads, "ms": seconds * 1e3, "per_s": len(inputs) * per_input / seconds}


def _runner(session: Session, inputs: NDArray[np.uint8]) -> Callable[[], Any]:
    name, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    return lambda: session.run(names, {name: inputs})


def _rate(run: Callable[[], Any], windows: int) -> dict[str, float]:
    started = time.perf_counter()
    run()
    first = time.perf_counter() - started
    for _ in range(WARM - 1):
        run()
    took: list[float] = []
    while sum(took) < TURN_S and len(took) < MOST_TURNS:
        started = time.perf_counter()
        run()
        took.append(time.perf_counter() - started)
    middle = statistics.median(took)
    return {"batch": windows, "first_s": first, "ms": middle * 1e3, "per_s": windows / middle, "turns": len(took)}
