"""Which GPUs there are, and one graph on several of them."""

import contextlib
import ctypes
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from numpy.typing import NDArray

from serving.scoring.session import Session

_RUNTIMES = ("libcudart.so.13", "libcudart.so.12")


def gpus() -> int:
    """How many GPUs CUDA shows this process: CUDA_VISIBLE_DEVICES chooses among them."""
    runtime, count = cudart(), ctypes.c_int(0)
    if runtime is None or runtime.cudaGetDeviceCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


@cache
def memory_bytes() -> int:
    """Memory of the GPU that CUDA counts first; 0 where there is none."""
    runtime, free, total = cudart(), ctypes.c_size_t(0), ctypes.c_size_t(0)
    if runtime is None or runtime.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)) != 0:
        return 0
    return total.value


def cudart() -> ctypes.CDLL | None:
    """CUDA's runtime library, where it can be loaded."""
    for name in _RUNTIMES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None


class SpreadSession:
    """The same graph on several GPUs; each run goes to the one with the fewest under way."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = list(sessions)
        self._running = [0] * len(self._sessions)
        self._lock = threading.Lock()

    def get_inputs(self) -> Sequence[Any]:
        """As ONNX Runtime's."""
        return self._sessions[0].get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        """As ONNX Runtime's."""
        return self._sessions[0].get_outputs()

    def get_providers(self) -> list[str]:
        """As ONNX Runtime's."""
        return self._sessions[0].get_providers()

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]], stop: Any = None) -> list[Any]:
        """See `Session.run`."""
        with self._lock:
            idlest = self._running.index(min(self._running))
            self._running[idlest] += 1
        try:
            return self._sessions[idlest].run(names, feeds, stop)
        finally:
            with self._lock:
                self._running[idlest] -= 1
