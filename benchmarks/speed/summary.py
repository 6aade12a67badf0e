"""Medians and ratios of all turns, and what they were measured on."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.speed.decoding import Decoding
from benchmarks.speed.measure import SlideRun
from benchmarks.speed.slides import Case

_PACKAGES = ("numpy", "onnxruntime-gpu", "openslide-bin", "openslide-python", "pillow", "simplejpeg")


def summary(
    turns: Mapping[str, Sequence[SlideRun]], decodings: Mapping[str, Sequence[Decoding]], cases: Sequence[Case]
) -> dict[str, Any]:
    """All that is known of each slide, ready for JSON; ratios are medians of the turns' own ratios."""
    slides = {case.name: _slide(case, turns[case.name], decodings[case.name]) for case in cases}
    glass = [slides[case.name] for case in cases if case.grows]
    return {"machine": machine(), "slides": slides, "growth": _growth(glass)}


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0].split(":", 1)[1].strip() if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def write_summary(folder: Path, found: dict[str, Any]) -> Path:
    """The JSON file of a summary."""
    path = folder / "speed.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path


def _slide(case: Case, turns: Sequence[SlideRun], decodings: Sequence[Decoding]) -> dict[str, Any]:
    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 4)

    seconds = ("wall", "plan", "read", "screen", "detect", "post", "wait", "read_floor", "models_floor")
    last = turns[-1]
    return {
        "side": case.side,
        "tiles": last.tiles,
        "sub_tiles": last.sub_tiles,
        "calls": last.calls,
        "seconds": {name: median([getattr(turn, name) for turn in turns]) for name in seconds},
        "processor": {name: median([turn.processor[name] for turn in turns]) for name in last.processor},
        "processor_to_floors": median([_processor_ratio(turn) for turn in turns]),
        "sub_tiles_per_s": median([turn.sub_tiles / turn.wall for turn in turns]),
        "busy": median([(turn.screen + turn.detect) / turn.wall for turn in turns]),
        "wall_to_floor": median([turn.wall / max(turn.read_floor, turn.models_floor) for turn in turns]),
        "post_share": median([turn.post / turn.wall for turn in turns]),
        "seconds_per_tile": median([(turn.wall - turn.plan) / max(turn.tiles, 1) for turn in turns]),
        "peak_mib": median([turn.peak_mib for turn in turns]),
        "reading": {
            "direct_levels": decodings[-1].levels,
            "equal": all(d.equal for d in decodings),
            "openslide_mpx_per_s": median([d.megapixels / d.openslide for d in decodings]),
            "direct_mpx_per_s": median([d.megapixels / d.direct for d in decodings]),
            "ratio": median([d.openslide / d.direct for d in decodings]),
        },
        "turns": [asdict(turn) for turn in turns],
    }


def _processor_ratio(turn: SlideRun) -> float:
    """Processor time of a whole slide over that of all that it has to do: plan, read, compute."""
    return turn.processor["whole"] / max(sum(turn.processor[name] for name in ("plan", "read", "models")), 0.01)


def _growth(glass: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Time and memory of slides that differ in their glass alone, against the smallest of them."""
    first = min(glass, key=lambda slide: slide["side"], default=None)
    if first is None:
        return []
    pairs = [(slide, list(zip(slide["turns"], first["turns"], strict=True))) for slide in glass]
    return [
        {
            "side": slide["side"],
            "seconds_per_tile": round(statistics.median(_per_tile(a) / _per_tile(b) for a, b in turns), 4),
            "processor_per_tile": round(
                statistics.median(_processor_per_tile(a) / _processor_per_tile(b) for a, b in turns), 4
            ),
            "peak": round(statistics.median(a["peak_mib"] / b["peak_mib"] for a, b in turns), 4),
        }
        for slide, turns in pairs
    ]


def _per_tile(turn: dict[str, Any]) -> float:
    return float((turn["wall"] - turn["plan"]) / max(turn["tiles"], 1))


def _processor_per_tile(turn: dict[str, Any]) -> float:
    used = turn["processor"]
    return max(float(used["whole"] - used["plan"]), 0.01) / max(int(turn["tiles"]), 1)
