"""How busy the GPUs are, as NVIDIA's management library tells; nothing where there is none."""

from dataclasses import dataclass
from functools import cache

import pynvml


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU now, whoever uses it."""

    index: int
    busy: float
    """Share of the last sampling period, about a second, in which a kernel ran."""

    memory_used_bytes: int
    memory_total_bytes: int


def gpu_use() -> list[GpuUse]:
    """The use of every GPU of this machine; empty where the driver is missing or does not answer."""
    if not _initialise():
        return []
    try:
        return [_use(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []


@cache
def _initialise() -> bool:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


def _use(index: int) -> GpuUse:
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(device)
    busy = pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
    return GpuUse(index, busy, int(memory.used), int(memory.total))
