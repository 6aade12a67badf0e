"""Prometheus metrics of the server, and what GPUs do. No label takes a value from a request, so their number is bounded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pynvml
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from serving.core.report import Report


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


CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
"""From a field of one tile on a GPU to a whole slide on a CPU."""

_REQUEST_SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600, 3600)
"""From a look at a state to the upload of a slide over a slow line."""

_answers = Counter("mitoserve_answers", "Results that were answered, by format", ["format"])
_analyses = Gauge(
    "mitoserve_analyses", "Analyses that the server keeps, by state", ["state"], multiprocess_mode="mostrecent"
)
_shadow = Gauge(
    "mitoserve_shadow_analyses",
    "Analyses that the shadow that runs repeats, by state",
    ["state"],
    multiprocess_mode="mostrecent",
)
_drift = Gauge(
    "mitoserve_drift",
    "Distance of recent slides from the reference, by measure: stability index of scores and density, degrees of stains",
    ["measure"],
    multiprocess_mode="mostrecent",
)
_drift_level = Gauge(
    "mitoserve_drift_level",
    "0 steady or unknown, 1 worth a look, 2 alarm, by measure",
    ["measure"],
    multiprocess_mode="mostrecent",
)
_drift_slides = Gauge(
    "mitoserve_drift_slides", "Recent slides that are compared with the reference", multiprocess_mode="mostrecent"
)
_bound = Gauge(
    "mitoserve_decoders_bound",
    "1 where the kernel shows decoders nothing but their slide, else 0",
    multiprocess_mode="min",
)
_errors = Counter("mitoserve_errors", "Requests that ended with an error, by kind of problem", ["kind"])
_stages = Histogram(
    "mitoserve_stage_seconds", "Seconds of an analysis by stage; stages overlap", ["stage"], buckets=_SECONDS
)
_tiles = Counter("mitoserve_tiles", "Tiles scored")
_uploaded = Counter("mitoserve_uploaded_bytes", "Bytes of slides received")
_waiting = Gauge(
    "mitoserve_requests_waiting",
    "Requests that wait for a result, from their upload to their answer",
    multiprocess_mode="livesum",
)
_requests = Counter(
    "mitoserve_requests", "Requests, by method, template of the route and status", ["method", "route", "status"]
)
_request_seconds = Histogram(
    "mitoserve_request_seconds",
    "Seconds from a request's headers to the end of its answer, by template of the route",
    ["route"],
    buckets=_REQUEST_SECONDS,
)
_free = Gauge("mitoserve_free_bytes", "Bytes free on the disk of the state folder", multiprocess_mode="mostrecent")
_gpu_busy = Gauge(
    "mitoserve_gpu_busy_ratio",
    "Share of the last second in which a GPU worked",
    ["gpu"],
    multiprocess_mode="mostrecent",
)
_gpu_memory = Gauge("mitoserve_gpu_memory_bytes", "Memory of a GPU", ["gpu", "state"], multiprocess_mode="mostrecent")


def set_free(size: int) -> None:
    """State that `size` bytes are free on the disk of the state folder."""
    _free.set(size)


def set_decoders_bound(bound: bool) -> None:
    """State whether the kernel shows decoders nothing but their slide."""
    _bound.set(bound)


def set_analyses(by_state: Mapping[str, int]) -> None:
    """State how many analyses there are in each state."""
    for state, count in by_state.items():
        _analyses.labels(state).set(count)


def set_shadow(by_state: Mapping[str, int]) -> None:
    """State how many analyses of the shadow there are in each state."""
    for state, count in by_state.items():
        _shadow.labels(state).set(count)


def set_drift(slides: int, measures: Mapping[str, tuple[float, int]]) -> None:
    """State how far recent slides are from the reference: value and level by measure, NaN where nothing is known."""
    _drift_slides.set(slides)
    for measure, (value, level) in measures.items():
        _drift.labels(measure).set(value)
        _drift_level.labels(measure).set(level)


def set_gpu(use: GpuUse) -> None:
    """State how busy a GPU is."""
    _gpu_busy.labels(str(use.index)).set(use.busy)
    _gpu_memory.labels(str(use.index), "used").set(use.memory_used_bytes)
    _gpu_memory.labels(str(use.index), "total").set(use.memory_total_bytes)


def count_request(method: str, route: str, status: int, *, seconds: float) -> None:
    """Count a request that ended; `method` and `route` are of `serving.api.routes`, so they take few values."""
    _requests.labels(method, route, str(status)).inc()
    _request_seconds.labels(route).observe(seconds)


def count_answer(export: str) -> None:
    """Count a result that was answered in the format `export`."""
    _answers.labels(export).inc()


def count_tiles(tiles: int) -> None:
    """Count tiles that were scored and kept."""
    _tiles.inc(tiles)


def count_report(report: Report) -> None:
    """Count an analysis that succeeded."""
    # The detectors of an ensemble have names of their own: their stages are summed in the others.
    for stage, seconds in report.timing.model_dump(exclude_none=True, exclude={"detectors_s"}).items():
        _stages.labels(stage.removesuffix("_s")).observe(seconds)


def count_error(kind: str) -> None:
    """Count a problem response; `kind` is a key of `problems.KINDS`."""
    _errors.labels(kind).inc()


def count_upload(size: int) -> None:
    """Count a slide of `size` bytes that arrived whole."""
    _uploaded.inc(size)


def set_waiting(requests: int) -> None:
    """State how many requests wait for a result."""
    _waiting.set(requests)


def exposition() -> bytes:
    """All metrics in Prometheus's text format, of all worker processes where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
