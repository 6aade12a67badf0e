"""One turn of a slide: scored whole, only read, and only the models, in changing order."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processor import processor_s
from benchmarks.speed.recording import RecordingDetector
from benchmarks.speed.slides import Case
from serving.core.options import ScoringOptions
from serving.isolation.decoders import Decoders
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.scoring.detector import Detector
from serving.scoring.order import order_hot_first
from serving.scoring.pipeline import score_slide
from serving.scoring.plan import make_plan
from serving.scoring.reading import ReadClock, read_ahead


@dataclass(slots=True)
class SlideRun:
    """What one turn took, seconds unless said."""

    wall: float = 0.0
    plan: float = 0.0
    read: float = 0.0
    screen: float = 0.0
    detect: float = 0.0
    post: float = 0.0
    wait: float = 0.0
    peak_mib: float = 0.0
    """Of this process and the decoder together while the slide was scored whole."""
    tiles: int = 0
    sub_tiles: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    read_floor: float = 0.0
    models_floor: float = 0.0
    processor: dict[str, float] = field(default_factory=dict)
    """Processor seconds of `whole`, `plan`, `read` alone and `models` alone, decoder included: others' load leaves them alone."""


def measure(case: Case, detector: Detector, decoders: Decoders, *, turn: int) -> SlideRun:
    """One turn. The floors come after the whole slide or, reading, before it: whatever the machine also does hits all."""
    result, recording = SlideRun(), RecordingDetector(detector)
    stages: list[Callable[[], None]] = [
        lambda: _read_alone(case, detector, decoders, result),
        lambda: _score(case, recording, decoders, result),
        lambda: _models_alone(recording, result),
    ]
    if turn % 2:
        stages = stages[1:] + stages[:1]
    for stage in stages:
        stage()
    return result


def _score(case: Case, recording: RecordingDetector, decoders: Decoders, result: SlideRun) -> None:
    with _open(case, decoders) as slide:
        _forget_peak()
        started, used = time.perf_counter(), processor_s()
        report = score_slide(slide, recording, ScoringOptions(roi=case.roi, mpp=case.mpp)).report
        result.wall, result.processor["whole"] = time.perf_counter() - started, processor_s() - used
        assert slide._current is not None
        result.peak_mib = _peak_mib(os.getpid()) + _peak_mib(slide._current[0].pid)
    timing = report.timing
    result.read, result.screen, result.detect = timing.read_s, timing.screen_s, timing.detect_s
    result.post, result.wait = timing.post_s, timing.wait_for_read_s
    result.tiles = report.tissue.tiles_scored
    stride = recording.screening_card.input.stride_px
    for call in recording.calls:
        result.calls[call.kind] = result.calls.get(call.kind, 0) + 1
        if call.kind == "screen":
            batch, height, width, _ = call.shape
            result.sub_tiles += batch * (height // stride - 1) * (width // stride - 1)


def _read_alone(case: Case, detector: Detector, decoders: Decoders, result: SlideRun) -> None:
    with _open(case, decoders) as slide:
        started, used = time.perf_counter(), processor_s()
        plan = make_plan(slide, ScoringOptions(roi=case.roi, mpp=case.mpp), detector.screening_card.input)
        planned, used_to_plan = time.perf_counter(), processor_s()
        with read_ahead(slide, plan.frame, order_hot_first(plan.tiles, plan.tissue), ReadClock()) as patches:
            for _ in patches:
                pass
        result.plan, result.read_floor = planned - started, time.perf_counter() - planned
        result.processor |= {"plan": used_to_plan - used, "read": processor_s() - used_to_plan}


def _models_alone(recording: RecordingDetector, result: SlideRun) -> None:
    started, used = time.perf_counter(), processor_s()
    recording.replay()
    result.models_floor, result.processor["models"] = time.perf_counter() - started, processor_s() - used


def _open(case: Case, decoders: Decoders) -> IsolatedSlide:
    return open_isolated(decoders, case.path, name=case.name, sha256="0" * 64)


def _forget_peak() -> None:
    """Have the kernel measure this process's peak from now on (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024
