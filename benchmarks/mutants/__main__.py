"""`python -m benchmarks.mutants [--count 5000] [--seed 0] [--done FILE] [--limit 120] [--minutes M]`: damaged slides against a running server.

Slides of every format at hand, generated and from `MITOSIS_DATA`, have bytes flipped, ends cut off, tags swapped and forged;
archives are also damaged inside. Each is brought to a real server over HTTP, which opens it in a decoder of its own; where it
opens, a thumbnail asks for its pixels, and of every tenth an analysis of a small region does too. Prints what became of them.
With `--done`, a run that was ended goes on where it was. The exit code is 1 where the server or its worker died, an answer was a
failure of the server's own, none came within the limit, or all processes together took more memory than their budget.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from rich.console import Console

from benchmarks.footprint import Footprint
from benchmarks.mutants.bringing import bring_damaged
from benchmarks.mutants.outcome import Outcomes, failures, table
from tests.mutants import Specimen, specimens
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess

CLIENTS = 4
READ_CPU_S = 10
"""Processor seconds of one read: slides of this size need a tenth of one."""
LIMIT_S = 120.0
"""Seconds for one answer: two tries of `READ_CPU_S` on a machine with other work. What takes longer hangs."""
DECODERS_BYTES = 2 * 2**30
"""Memory of all decoders together, as the server is told."""
BUDGET_BYTES = 3 * 2**30
"""Of the server, its worker, decoders and unpackers together."""
START_S, SAY_S = 1800.0, 30.0


def main(arguments: list[str]) -> int:
    """Print all counts; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--done", type=Path, help="file of what was done; made if there is none")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for one answer; more on a busy machine")
    parser.add_argument("--minutes", type=float, help="end after so many")
    stated = parser.parse_args(arguments)
    data = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[2] / "../shared/data")) / "slides"
    outcomes, footprint, started = Outcomes(stated.done), Footprint(), time.monotonic()
    todo = [seed for n in range(stated.count) if (seed := f"{stated.seed}-{n}") not in outcomes.seeds]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole").mkdir()
        whole = specimens(folder / "whole", data if data.is_dir() else None)
        models = write_quick_models(folder / "models")
        limits = {"decoder_cpu_s": READ_CPU_S, "decoders_memory_bytes": DECODERS_BYTES, "keep_slides_s": 60}
        server = ServerProcess(folder, models, **limits).begin()
        server.wait_until(lambda: server.client.get("/readyz").status_code == 200, START_S)
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=stated.limit)
        end = float("inf") if stated.minutes is None else started + 60 * stated.minutes
        with client, footprint.watching(server):
            _bring_all(client, whole, todo, outcomes, end)
        footprint.deaths += not server.alive()
        server.stop()
    return _report(outcomes, footprint, time.monotonic() - started, stated.limit)


def _bring_all(client: httpx.Client, whole: list[Specimen], todo: list[str], outcomes: Outcomes, end: float) -> None:
    """Several at once, saying now and then how many are done, until `end` of the monotonic clock."""
    said = time.monotonic()

    def bring(seed: str) -> None:
        nonlocal said
        if time.monotonic() > end:
            return
        outcome = bring_damaged(client, whole, seed)
        count = outcomes.add(outcome)
        if outcome.failure is not None:
            print(f"{outcome.seed}, {outcome.kind}, {outcome.damage}: {outcome.failure[:300]}", flush=True)
        if time.monotonic() > said + SAY_S:
            said = time.monotonic()
            print(f"{count} done, {len(failures(outcomes.all))} failures", flush=True)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(bring, todo))


def _report(outcomes: Outcomes, footprint: Footprint, seconds: float, limit_s: float) -> int:
    """Print what was counted; gives the exit code."""
    found, failed = outcomes.all, failures(outcomes.all)
    hangs, within = sum(o.hung for o in found), footprint.peak_bytes <= BUDGET_BYTES
    console = Console(width=160)
    console.print(table(found))
    for what, counted in (
        ("damage", Counter(o.damage for o in found)),
        ("outcomes", Counter(o.outcome for o in found)),
    ):
        console.print(
            f"{what}: {', '.join(f'{number} {kind}' for kind, number in counted.most_common())}", markup=False
        )
    console.print(
        f"{len(found)} damaged slides, the last of them in {seconds:.0f} s: {footprint.deaths} deaths of the server or its worker, "
        f"{hangs} hangs over {limit_s:g} s, {len(failed) - hangs} failures of the server, {sum(o.waits for o in found)} times asked "
        f"to come again; peak memory of all processes {footprint.peak_bytes / 2**20:.0f} MiB of {BUDGET_BYTES / 2**20:.0f}",
        markup=False,
    )
    for failure in failed:
        console.print(f"  {failure[:500]}", markup=False)
    return 0 if found and not (failed or footprint.deaths) and within else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
