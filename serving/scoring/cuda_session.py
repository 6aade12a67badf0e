"""A graph on one GPU, behind the interface of an ONNX Runtime session.

Threads that call `run` together keep several batches in flight: each has page-locked memory of its own, so one batch is copied
while another is computed. Each shape of a batch has an ONNX Runtime session of its own: one that meets another shape than the last
one plans every convolution again, which took 0.2 to 0.9 s on an H200, where computing the batch takes 20 ms.
"""

import contextlib
import ctypes
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.core.errors import ModelError
from serving.scoring.gpus import cudart
from serving.scoring.half_precision import convert_to_half
from serving.scoring.half_precision import missing as missing_for_half

HALF = "CUDA-fp16"
"""Provider whose trunks compute in half precision; `CUDA` is the one that computes in TF32."""
CUDA = "CUDAExecutionProvider"
PROVIDERS = (HALF, CUDA)
"""Those that this file gives."""
IN_FLIGHT = 4
"""Batches on one GPU at once; more threads wait for one of them to end."""
OPTIONS = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
"""Of ONNX Runtime's CUDA provider: trying every algorithm for every size of batch would take seconds each."""
HALF_OPTIONS = {"prefer_nhwc": "1"}
"""Tensor cores take channels last; otherwise cuDNN turns every tensor around."""
MOST_SHAPES = 8
"""Sessions at once: four shapes of a patch, each in batches of two sizes; the one that was opened first makes room for another."""
_FATAL = 4
_PORTABLE = 1
"""cudaHostAllocPortable: page-locked for every GPU, whichever the thread that allocates has chosen."""


class CudaMissingError(ModelError):
    """CUDA does not load on this machine."""

    slug = "model-unavailable"


class CudaSession:
    """One graph on one GPU; `run` may be called by several threads.

    device : number of the GPU, as CUDA counts them
    options : of ONNX Runtime's CUDA provider, in addition to those chosen here

    Raises
    ------
    CudaMissingError
        If CUDA does not load, instead of computing on the CPU.
    Exception
        If the graph does not load; the type is ONNX Runtime's own choice.
    """

    def __init__(self, path: Path, provider: str, *, device: int = 0, options: Mapping[str, str] | None = None) -> None:
        _load_libraries()
        self._provider = provider
        chosen = OPTIONS | (HALF_OPTIONS if provider == HALF else {}) | dict(options or {})
        self._options = {"device_id": str(device), **chosen}
        self._graph = convert_to_half(path) if provider == HALF else path.read_bytes()
        self._unused: list[onnxruntime.InferenceSession] = [self._open()]
        self._of_shape: dict[tuple[int, ...], onnxruntime.InferenceSession] = {}
        self._signature = self._unused[0]
        self._lock = threading.Lock()
        self._staging: queue.SimpleQueue[PageLocked] = queue.SimpleQueue()
        for _ in range(IN_FLIGHT):
            self._staging.put(PageLocked())

    def get_inputs(self) -> list[Any]:
        """As ONNX Runtime's."""
        inputs: list[Any] = self._signature.get_inputs()
        return inputs

    def get_outputs(self) -> list[Any]:
        """As ONNX Runtime's."""
        outputs: list[Any] = self._signature.get_outputs()
        return outputs

    def get_providers(self) -> list[str]:
        """As ONNX Runtime's."""
        return [self._provider]

    def run(
        self,
        names: Sequence[str],
        feeds: Mapping[str, NDArray[Any]],
        stop: onnxruntime.RunOptions | None = None,
    ) -> list[Any]:
        """The outputs named, as arrays of their own.

        feeds : the one input that graphs of the serving contract have

        Raises
        ------
        Exception
            If `stop.terminate` was set before the end, or the GPU fails; the type is ONNX Runtime's own choice.
        """
        ((name, array),) = feeds.items()
        staging = self._staging.get()
        try:
            staged = staging.copy(array)
            session = self.session_for(staged.shape)
            binding = session.io_binding()
            binding.bind_input(name, "cpu", 0, staged.dtype.type, staged.shape, staged.ctypes.data)
            for output in names:
                binding.bind_output(output, "cpu")
            session.run_with_iobinding(binding, stop)
            return [value.numpy() for value in binding.get_outputs()]
        finally:
            self._staging.put(staging)

    def session_for(self, shape: tuple[int, ...]) -> onnxruntime.InferenceSession:
        """The session that runs inputs of this shape, opened when it is first asked for."""
        with self._lock:
            if shape not in self._of_shape:
                self._of_shape[shape] = self._unused.pop() if self._unused else self._open()
                if len(self._of_shape) > MOST_SHAPES:
                    del self._of_shape[next(iter(self._of_shape))]
            return self._of_shape[shape]

    def _open(self) -> onnxruntime.InferenceSession:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _FATAL
        session = onnxruntime.InferenceSession(self._graph, settings, providers=[(CUDA, self._options)])
        if session.get_providers()[0] != CUDA:
            raise CudaMissingError(
                "CUDA does not load on this machine: ONNX Runtime needs a GPU, its driver, CUDA and cuDNN"
            )
        return session


class PageLocked:
    """Memory that the GPU reads by itself; plain memory where CUDA gives none."""

    def __init__(self) -> None:
        self._buffer: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._free: Any = None

    def copy(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The array, uint8, copied here; the next copy overwrites it."""
        if self._buffer.size < array.size:
            self._grow(array.size)
        staged = self._buffer[: array.size].reshape(array.shape)
        np.copyto(staged, array)
        return staged

    def _grow(self, size: int) -> None:
        self._release()
        runtime, address = cudart(), ctypes.c_void_p()
        if runtime is not None and runtime.cudaHostAlloc(ctypes.byref(address), ctypes.c_size_t(size), _PORTABLE) == 0:
            memory = (ctypes.c_uint8 * size).from_address(address.value or 0)
            self._buffer = np.ctypeslib.as_array(memory)
            self._free = lambda: runtime.cudaFreeHost(address)
        else:
            self._buffer = np.empty(size, np.uint8)

    def _release(self) -> None:
        self._buffer = np.empty(0, np.uint8)
        if self._free is not None:
            self._free()
            self._free = None

    def __del__(self) -> None:
        self._release()


def missing(provider: str) -> str | None:
    """Why a provider of this file cannot run here, and what to do; None where nothing speaks against it."""
    if CUDA not in onnxruntime.get_available_providers():
        return f"{provider} needs ONNX Runtime's GPU build: pip install onnxruntime-gpu"
    return missing_for_half() if provider == HALF else None


def _load_libraries() -> None:
    """Have CUDA and cuDNN of pip packages found; those of the system are found without."""
    # It warns at every session that CUDA is no plugin.
    onnxruntime.set_default_logger_severity(_FATAL)
    with contextlib.suppress(Exception), contextlib.redirect_stdout(None):  # it prints what it does not find
        onnxruntime.preload_dlls(msvc=False)
