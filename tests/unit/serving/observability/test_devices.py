from collections.abc import Iterator
from types import SimpleNamespace

import pynvml
import pytest

from serving.observability import metrics
from serving.observability.metrics import GpuUse, gpu_use


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    metrics._initialise.cache_clear()
    yield
    metrics._initialise.cache_clear()


def test_without_a_driver_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert gpu_use() == []


def test_every_gpu_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda device: SimpleNamespace(used=device, total=80))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda _: SimpleNamespace(gpu=25))
    assert gpu_use() == [GpuUse(0, 0.25, 0, 80), GpuUse(1, 0.25, 1, 80)]


def test_a_gpu_that_fails_does_not_fail_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: int) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 1)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lost)
    assert gpu_use() == []
