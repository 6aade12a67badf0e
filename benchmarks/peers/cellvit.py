"""`python -m benchmarks.peers.cellvit [--out cellvit] [--rounds 1] [--windows 4] [--slide SLIDE] [--providers ...]`.

Seconds per mm2 of CellViT-256's network, random weights, on some of the windows of a slide that hold tissue, by turns with
Mitoserve's released models on the whole slide, exactly and fast. CellViT outlines every nucleus and tells no mitoses; it is here for what
a look at all tissue costs. Its network is timed without its post-processing, Mitoserve's from opening the slide to the written report.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import default_folder, find_python
from benchmarks.peers.inputs import ROOT, make_variables
from benchmarks.peers.measure import FailedError, Tool, ToolRun, measure
from benchmarks.peers.runners.job import RunnerJob
from benchmarks.speed.summary import machine
from serving.core.report import Report
from serving.scoring.sessions import CPU
from serving.settings import default_models

SLIDE = "slides/cmu-1-small-region.svs"
_WINDOW_PX, _OVERLAP_PX, _MPP = 1024, 64, 0.25
"""Of CellViT's own inference (Hörst et al., Medical Image Analysis 94, 2024)."""
_THEIRS = "CellViT-256, network alone"


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit code is 1 where a tool failed."""
    stated = _parse_arguments(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: stated.cores])
    stated.out.mkdir(parents=True, exist_ok=True)
    try:
        python = find_python(stated.environments.absolute(), "cellvit")
        with tempfile.TemporaryDirectory() as name:
            found = _measure(Path(name), python, stated)
    except (FailedError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    (stated.out / "cellvit.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"{found['slide']}: {found['tissue_mm2']} mm2 of tissue")
    print("\n".join(("| tool | s/mm2 | work, s | processor, s | start, s | sees |", "|---" * 6 + "|", *found["table"])))
    return 0


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.cellvit")
    parser.add_argument("--out", type=Path, default=Path("cellvit"), help="folder for cellvit.json")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--windows", type=int, default=4, help="that CellViT sees; half a minute each on two cores")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--slide", type=Path, help=f"by default {SLIDE} of the data")
    parser.add_argument("--providers", nargs="+", default=[CPU, "CPU-int8"], help="of ours")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where CellViT is installed")
    parser.add_argument("--data", type=Path, default=os.environ.get("MITOSIS_DATA", ROOT / "../shared/data"))
    return parser.parse_args(arguments)


def _measure(folder: Path, python: Path, stated: argparse.Namespace) -> dict[str, Any]:
    slide = (stated.slide or Path(stated.data) / SLIDE).absolute()
    variables = make_variables(folder / "home", stated.cores)
    job = RunnerJob(str(slide), "", "", 0, 0, 0, _WINDOW_PX, _WINDOW_PX - _OVERLAP_PX, _MPP)
    ours = [
        Tool(
            f"Mitoserve {mode}, {provider}",
            Path(sys.executable),
            "benchmarks.peers.runners.whole",
            default_models(),
            {"provider": provider, "cascade": mode},
            peer=False,
        )
        for provider in stated.providers
        for mode in ("exact", "fast")
    ]
    # The first run warms up, and says where the tissue is.
    measure(ours[-1], job, folder / "first", variables)
    report = Report.model_validate_json((folder / "first" / "report.json").read_bytes())
    placed, side = _place_windows(report)
    if not placed:
        raise FailedError(f"{slide.name} has no tissue to look at")
    corners = placed[:: -(-len(placed) // stated.windows)]
    settings = {"corners": corners, "side": side, "batch": 1, "channels_last": True}
    tools = [Tool(_THEIRS, python, "benchmarks.peers.runners.with_cellvit", Path(), settings), *ours]
    before = os.getloadavg()
    turns: dict[str, list[ToolRun]] = {tool.name: [] for tool in tools}
    sees: dict[str, str] = {}
    packages: dict[str, dict[str, str]] = {}
    for number in range(stated.rounds):
        start = number % len(tools)
        for tool in [*tools[start:], *tools[:start]]:
            out = folder / f"{number}-{tools.index(tool)}"
            turn, told = measure(tool, job, out, variables)
            turns[tool.name].append(turn)
            packages[tool.name] = told.packages
            sees[tool.name] = _describe(out, len(corners), len(placed))
            print(f"round {number + 1}: {tool.name}, {turn.work:.1f} s", flush=True)
    area = report.tissue.area_mm2
    seen = len(corners) * ((_WINDOW_PX - _OVERLAP_PX) * _MPP / 1000) ** 2
    return {
        "machine": machine(),
        "slide": slide.name,
        "tissue_mm2": area,
        "load": [before, os.getloadavg()],
        "packages": packages,
        "turns": {
            name: [[t.work, t.work_processor, t.whole, t.whole_processor] for t in own] for name, own in turns.items()
        },
        "table": [_row(name, own, sees[name], seen if name == _THEIRS else area) for name, own in turns.items()],
    }


def _place_windows(report: Report) -> tuple[list[tuple[int, int]], int]:
    """Corners of the windows in whose inner part any analysed tile lies, and their side, both in level-0 px."""
    scale = _MPP / report.slide.mpp
    step, margin = (_WINDOW_PX - _OVERLAP_PX) * scale, _OVERLAP_PX / 2 * scale
    columns, rows = (int(-(-length // step)) for length in (report.slide.width, report.slide.height))
    held = [
        (column, row)
        for row in range(rows)
        for column in range(columns)
        if any(
            tile.x < (column + 1) * step
            and tile.x + tile.width > column * step
            and tile.y < (row + 1) * step
            and tile.y + tile.height > row * step
            for tile in report.tiles
        )
    ]
    return [(round(c * step - margin), round(r * step - margin)) for c, r in held], round(_WINDOW_PX * scale)


def _describe(out: Path, windows: int, of: int) -> str:
    """What a tool looked at; without a report so many windows `of` those that hold tissue."""
    path = out / "report.json"
    if not path.is_file():
        return f"{windows} of {of} windows of {_WINDOW_PX} px at {_MPP} um/px"
    tissue = Report.model_validate_json(path.read_bytes()).tissue
    return f"Reg-NS at {tissue.sub_tiles_screened} of {tissue.sub_tiles} sub-tiles"


def _row(name: str, turns: Sequence[ToolRun], sees: str, area: float) -> str:
    work, processor, start = (
        statistics.median(values)
        for values in ([t.work for t in turns], [t.work_processor for t in turns], [t.whole - t.work for t in turns])
    )
    return f"| {name} | {work / area:.1f} | {work:.1f} | {processor:.1f} | {start:.1f} | {sees} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
