"""`python -m benchmarks.gpu [--out gpu] [--provider CUDA-fp16] [--tiles 3000] [--seconds 170] [--slide real.svs ...]`.

Measures on one GPU: the graphs alone, what half precision moves on real windows, reading alone, and a generated slide from end to
end. Prints as it goes and writes `gpu.json` after every part; a part that fails is reported and the rest goes on. `--dry-run` goes
through every part on the processor, a tile and a batch of one each: it shows on any machine that the script runs, and measures nothing.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.gpu.parts import Bench
from serving.scoring.sessions import CPU

ORDER = (
    "machine",
    "choice",
    "graph",
    "whole_first",
    "whole",
    "whole_fast",
    "drift",
    "reading",
    "det",
    "verifier",
    "triage",
    "together",
    "tf32",
    "instant",
    "whole_tf32",
    "search",
)
"""What matters most comes first: the time may run out."""
SMALLEST: dict[str, Any] = {"provider": CPU, "tiles": 1, "batches": [1], "seconds": float("inf")}
"""Of a dry run."""


def main(arguments: list[str]) -> int:
    """Measure; the exit code is 1 where a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder for gpu.json")
    parser.add_argument("--provider", default="CUDA-fp16")
    parser.add_argument("--models", type=Path, default=Path(__file__).parents[2] / "models")
    parser.add_argument("--tiles", type=int, default=3000, help="tiles of the generated slide, rounded up to a square")
    parser.add_argument("--seconds", type=float, default=170.0, help="no part begins after so many")
    parser.add_argument("--slide", type=Path, nargs="*", default=[], help="real slides whose tiles show the drift too")
    parser.add_argument("--tissue", type=Path, help="slide whose middle the generated slide repeats; drawn without")
    parser.add_argument(
        "--pace", nargs="*", default=[], help="of serving.scoring.batch_sizes.GPU, as tiles=16 chunks=6"
    )
    parser.add_argument("--parts", nargs="*", default=list(ORDER), choices=ORDER)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 4, 8, 16, 32], help="tiles that Reg-NS sees")
    parser.add_argument("--dry-run", action="store_true", help="every part once on the processor, as small as can be")
    stated = parser.parse_args(arguments)
    if stated.dry_run:
        vars(stated).update(SMALLEST)
    stated.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    results: dict[str, Any] = {
        "versions": {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        "dry_run": stated.dry_run,
    }
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(stated, Path(folder))
        for name in (part for part in ORDER if part in stated.parts):
            if time.perf_counter() - started > stated.seconds:
                results[name] = "not begun: no time was left"
                print(f"== {name}: {results[name]}", flush=True)
                continue
            results[name], good = _part(name, getattr(bench, name))
            failed += [] if good else [name]
            results["seconds"] = time.perf_counter() - started
            (stated.out / "gpu.json").write_text(json.dumps(results, indent=1))
        bench.close()
    print(f"== {time.perf_counter() - started:.0f} s in all; failed: {', '.join(failed) or 'none'}", flush=True)
    print("a dry run: nothing was measured" if stated.dry_run else "\n".join(summary_lines(results)), flush=True)
    return int(bool(failed))


def _part(name: str, measure: Callable[[], Any]) -> tuple[Any, bool]:
    print(f"== {name}", flush=True)
    started = time.perf_counter()
    try:
        found = measure()
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}, False
    print(f"   {name} took {time.perf_counter() - started:.1f} s", flush=True)
    return found, True


def summary_lines(results: dict[str, Any]) -> list[str]:
    """What the issue asks for, a line each, as far as it was measured."""
    lines = []
    graph, whole, drift = (results.get(name) for name in ("graph", "whole", "drift"))
    best = max((row["per_s"] for row in graph if "per_s" in row), default=None) if isinstance(graph, list) else None
    if best:
        lines.append(f"Reg-NS alone at its best batch: {best:.0f} sub-tiles/s")
    if isinstance(whole, dict) and "wall_s" in whole:
        timing = whole["timing"]
        busy = whole["gpu_busy_share"]
        lines += [
            f"whole slide of {whole['tiles']} tiles: {whole['wall_s']:.1f} s, {whole['sub_tiles_per_s']:.0f} sub-tiles/s",
            f"GPU busy by NVML: {'not known' if busy is None else f'{busy:.0%}'}; a call under way "
            f"{whole['share_with_a_call_under_way']:.0%} of the time",
            f"peak memory: {whole['peak_mib']:.0f} MiB, GPU {whole['gpu_memory_mib']} MiB; timing {timing}",
        ]
        if best:
            lines.append(f"whole slide over Reg-NS alone: {whole['sub_tiles_per_s'] / best:.0%}")
    fast = results.get("whole_fast")
    if isinstance(fast, dict) and "wall_s" in fast:
        lines.append(
            f"the same fast: {fast['wall_s']:.1f} s, Reg-NS at {fast['sub_tiles_screened']} of {fast['sub_tiles']} sub-tiles"
        )
    if isinstance(drift, dict):
        lines += [
            f"drift {name}: mean {row['mean_of_spread']:.5f}, rms {row['rms_of_spread']:.5f}, largest "
            f"{row['largest_of_spread']:.5f} of the spread {row['spread']:.3f} over {row['values']} values"
            for name, row in drift.items()
            if isinstance(row, dict) and "spread" in row
        ]
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
