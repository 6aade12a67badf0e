"""A whole slide: its time by stage, how busy the GPU was, and the memory that it took."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.passthrough_detector import PassthroughDetector
from serving.core.detections import Detections
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.options import ScoringOptions
from serving.core.report_parts import CascadeMode
from serving.isolation.decoders import Decoders
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.scoring.batch_sizes import BatchSizes, choose_batch_sizes
from serving.scoring.detector import Detector, TriagedDetector
from serving.scoring.pipeline import score_slide
from serving.scoring.plan import make_plan
from serving.scoring.reading import ReadClock, read_ahead

LOOK_S = 0.1
"""Between two looks at how busy the GPU is."""
_T = TypeVar("_T")


@dataclass(slots=True)
class BusyDetector(PassthroughDetector):
    """Passes everything on and notes when anything was being computed."""

    spans: list[tuple[float, float, str]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def triage_card(self) -> ModelCard | None:
        """See `TriagedDetector`."""
        return self.detector.triage_card if isinstance(self.detector, TriagedDetector) else None

    def triage(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `TriagedDetector`."""
        if not isinstance(self.detector, TriagedDetector):
            raise ModelError("there is no triage model to time")
        return self._time_call("triage", self.detector.triage, tiles)

    def screen(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        return self._time_call("screen", self.detector.screen, tiles)

    def detect(self, sub_tiles: NDArray[np.uint8]) -> list[Detections]:
        """See `Detector`."""
        return self._time_call("detect", self.detector.detect, sub_tiles)

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Detector`."""
        return self._time_call("verify", self.detector.verify, windows)

    def verify_once(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `TriagedDetector`."""
        if not isinstance(self.detector, TriagedDetector):
            raise ModelError("there is no verifier of one view to time")
        return self._time_call("verify once", self.detector.verify_once, windows)

    def busy_s(self) -> float:
        """Seconds in which at least one call was under way."""
        total, until = 0.0, -np.inf
        for start, end, _ in sorted(self.spans):
            total += max(end - max(start, until), 0.0)
            until = max(until, end)
        return total

    def stages(self, since: float) -> dict[str, dict[str, float]]:
        """Of each kind of call, when the first began and the last ended, s after `since`, and the longest and median one."""
        found = {}
        for kind in self.asked:
            spans = [(start - since, end - since) for start, end, of in self.spans if of == kind]
            took = [end - start for start, end in spans]
            found[kind] = {
                "first": min(start for start, _ in spans),
                "last": max(end for _, end in spans),
                "longest": max(took),
                "median": float(np.median(took)),
            }
        return found

    def _time_call(self, kind: str, ask: Callable[[NDArray[np.uint8]], _T], inputs: NDArray[np.uint8]) -> _T:
        started = time.perf_counter()
        found = ask(inputs)
        self.spans.append((started, time.perf_counter(), kind))
        self.asked[kind] = self.asked.get(kind, 0) + len(inputs)
        self.calls[kind] = self.calls.get(kind, 0) + 1
        return found


def score(path: Path, detector: Detector, decoders: Decoders, mode: CascadeMode = "exact") -> dict[str, Any]:
    """Seconds, rates and shares of one slide, isolated as in the service."""
    busy = BusyDetector(detector)
    pace = choose_batch_sizes(detector.provider)
    with open_isolated(decoders, path, name=path.name, sha256="0" * 64, lines=pace.readers) as slide, _looks() as looks:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        started = time.perf_counter()
        report = score_slide(slide, busy, ScoringOptions(cascade=mode)).report
        wall = time.perf_counter() - started
        peak = _peak_mib(os.getpid()) + _peak_mib(_pid(slide))
    tiles = report.tissue.tiles_scored
    return {
        "wall_s": wall,
        "tiles": tiles,
        "mode": mode,
        "sub_tiles": tiles * 64,
        "sub_tiles_screened": report.tissue.sub_tiles_screened,
        "sub_tiles_per_s": tiles * 64 / wall,
        "timing": report.timing.model_dump(),
        "asked": busy.asked,
        "calls": busy.calls,
        "stages": busy.stages(started),
        "share_with_a_call_under_way": busy.busy_s() / wall,
        "gpu_busy_share": float(np.mean([share for share, _ in looks])) / 100 if looks else None,
        "gpu_memory_mib": max((memory for _, memory in looks), default=None),
        "peak_mib": peak,
        "figures": report.counts.mitotic_figures,
        "provider": report.software.execution_provider,
    }


def read(
    path: Path, model: ModelInput, decoders: Decoders, *, readers: int, tiles: int | None = None
) -> dict[str, Any]:
    """Tiles a second when nothing is done with them."""
    with open_isolated(decoders, path, name=path.name, sha256="0" * 64, lines=readers) as slide:
        started = time.perf_counter()
        plan = make_plan(slide, ScoringOptions(), model)
        planned = time.perf_counter()
        clock = ReadClock()
        chosen = plan.tiles[:tiles]
        with read_ahead(slide, plan.frame, chosen, clock, readers=readers, ahead=2 * readers) as patches:
            for _ in patches:
                pass
        seconds = time.perf_counter() - planned
    return {
        "readers": readers,
        "plan_s": planned - started,
        "tiles": len(chosen),
        "seconds": seconds,
        "tiles_per_s": len(chosen) / seconds,
        "sub_tiles_per_s": 64 * len(chosen) / seconds,
    }


def describe_batches(pace: BatchSizes) -> dict[str, int]:
    """A pace as JSON has it."""
    return {name: getattr(pace, name) for name in pace.__slots__}


@contextmanager
def _looks() -> Iterator[list[tuple[int, int]]]:
    """(busy %, MiB in use) of the first GPU, as NVML says, every `LOOK_S` until the context ends; empty without one."""
    found: list[tuple[int, int]] = []
    end = threading.Event()

    def look() -> None:
        import pynvml  # noqa: PLC0415  # absent where there is no GPU

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not end.wait(LOOK_S):
            memory = pynvml.nvmlDeviceGetMemoryInfo(gpu).used >> 20
            found.append((pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu, memory))

    def look_where_there_is_one() -> None:
        with suppress(Exception):
            look()

    thread = threading.Thread(target=look_where_there_is_one, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


def _pid(slide: IsolatedSlide) -> int:
    assert slide._current is not None
    return slide._current[0].pid


def _peak_mib(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0
