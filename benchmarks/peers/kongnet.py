"""`python -m benchmarks.peers.kongnet [--out kongnet] [--rounds 3] [--slide SLIDE] [--providers ...] [--settings]`.

Scores a slide with KongNet of the same random weights, by turns, in Mitoserve and in TIAToolbox's own engine, which runs in the
environment of `benchmarks.peers`; checks that both networks give the same maps on real, blank and crowded windows; prints seconds per
mm2 of tissue, and writes `kongnet.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import default_folder, find_python
from benchmarks.peers.inputs import ROOT, make_variables
from benchmarks.peers.lattice import UnequalError
from benchmarks.peers.maps import compare_maps
from benchmarks.peers.measure import FailedError, Tool, ToolRun, measure
from benchmarks.peers.runners.job import RunnerJob
from benchmarks.speed.summary import machine
from serving.scoring.sessions import CPU

SLIDE = "slides/cmu-1-small-region.svs"
_WINDOW_PX, _STRIDE_PX, _MPP = 512, 492, 0.5
"""Of TIAToolbox; ours are the contract's."""
_TRIED: list[dict[str, object]] = [
    {"batch": batch, "workers": workers, "channels_last": last}
    for batch, workers, last in ((8, 0, False), (8, 0, True), (2, 0, True), (2, 1, True))
]


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit code is 1 where a tool failed or the networks were not the same."""
    stated = _parse_arguments(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: stated.cores])
    stated.out.mkdir(parents=True, exist_ok=True)
    try:
        python = find_python(stated.environments.absolute(), "tiatoolbox")
        with tempfile.TemporaryDirectory() as name:
            found = _measure(Path(name), python, stated)
    except (UnequalError, FailedError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    (stated.out / "kongnet.json").write_text(json.dumps(found, indent=1) + "\n")
    print(
        f"{found['slide']}: {found['tissue_mm2']} mm2 of tissue; maps at most {found['largest_difference']:.2g} apart"
    )
    print(
        "\n".join(
            ("| tool | s/mm2 | work, s | processor, s | start, s | detections |", "|---" * 6 + "|", *found["table"])
        )
    )
    return 0


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.kongnet")
    parser.add_argument("--out", type=Path, default=Path("kongnet"), help="folder for kongnet.json")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--keep", type=Path, help="where weights and graph are kept for the next run; by default nowhere"
    )
    parser.add_argument("--slide", type=Path, help=f"by default {SLIDE} of the data")
    parser.add_argument("--providers", nargs="+", default=[CPU], help="of ours")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where TIAToolbox is installed")
    parser.add_argument("--data", type=Path, default=os.environ.get("MITOSIS_DATA", ROOT / "../shared/data"))
    parser.add_argument(
        "--settings", action="store_true", help="time TIAToolbox with other settings, once each, and nothing else"
    )
    return parser.parse_args(arguments)


def _measure(folder: Path, python: Path, stated: argparse.Namespace) -> dict[str, Any]:
    slide = (stated.slide or Path(stated.data) / SLIDE).absolute()
    variables = make_variables(folder / "home", stated.cores)
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    made = (stated.keep or folder / "made").absolute()
    if not (made / "maps.npy").is_file():  # which is written last
        made.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.peers.kongnet_weights", slide, packages, made]
        subprocess.run([str(part) for part in command], check=True, env=variables, cwd=folder)
    command = [python, "-m", "benchmarks.peers.runners.kongnet_maps", made / "kongnet.pth", made / "windows.npy"]
    subprocess.run([str(part) for part in (*command, folder / "theirs.npy")], check=True, env=variables, cwd=folder)
    apart, before = compare_maps(made / "maps.npy", folder / "theirs.npy"), os.getloadavg()
    job = RunnerJob(str(slide), "", "", 0, 0, 0, _WINDOW_PX, _STRIDE_PX, _MPP)
    if stated.settings:
        tools = [_theirs(python, made, settings) for settings in _TRIED]
    else:
        tools = [_theirs(python, made, _TRIED[1]), *_ours(made, stated.providers)]
    turns: dict[str, list[ToolRun]] = {tool.name: [] for tool in tools}
    counts: dict[str, int] = {}
    packages_of: dict[str, dict[str, str]] = {}
    for number in range(1 if stated.settings else stated.rounds):
        start = number % len(tools)
        for tool in [*tools[start:], *tools[:start]]:
            turn, told = measure(tool, job, folder / f"{number}-{tools.index(tool)}", variables)
            turns[tool.name].append(turn)
            counts[tool.name], packages_of[tool.name] = len(told.origins), told.packages
            print(f"round {number + 1}: {tool.name}, {turn.work:.1f} s, {len(told.origins)} detections", flush=True)
    area = _read_area(folder)
    return {
        "machine": machine(),
        "slide": slide.name,
        "tissue_mm2": area,
        "largest_difference": apart,
        "load": [before, os.getloadavg()],
        "packages": packages_of,
        "turns": {
            name: [[t.work, t.work_processor, t.whole, t.whole_processor] for t in own] for name, own in turns.items()
        },
        "table": [_row(name, own, counts[name], area) for name, own in turns.items()],
    }


def _theirs(python: Path, made: Path, settings: Mapping[str, object]) -> Tool:
    layout = ", channels last" if settings["channels_last"] else ""
    name = f"TIAToolbox, batch {settings['batch']}, workers {settings['workers']}{layout}"
    return Tool(name, python, "benchmarks.peers.runners.with_kongnet", made / "kongnet.pth", settings)


def _ours(made: Path, providers: Sequence[str]) -> list[Tool]:
    here, runner, models = Path(sys.executable), "benchmarks.peers.runners.whole", made / "models"
    return [Tool(f"Mitoserve, {name}", here, runner, models, {"provider": name}, peer=False) for name in providers]


def _read_area(folder: Path) -> float | None:
    """Tissue of the slide, mm2, by one of our reports; None where we did not run."""
    reports = sorted(folder.glob("*/report.json"))
    return float(json.loads(reports[0].read_text())["tissue"]["area_mm2"]) if reports else None


def _row(name: str, turns: Sequence[ToolRun], count: int, area: float | None) -> str:
    work, processor, start = (
        statistics.median(values)
        for values in ([t.work for t in turns], [t.work_processor for t in turns], [t.whole - t.work for t in turns])
    )
    per_mm2 = "" if area is None else f"{work / area:.1f}"
    return f"| {name} | {per_mm2} | {work:.1f} | {processor:.1f} | {start:.1f} | {count} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
