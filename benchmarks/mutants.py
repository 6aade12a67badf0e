"""Damaged slides against a running server: `python -m benchmarks.mutants [--count 5000] [--seed 0]`.

Slides of every format at hand, generated and from `MITOSIS_DATA`, have bytes flipped, ends cut off, tags swapped and forged.
Each is brought to a real server, which opens it in a decoder of its own; where it opens, a thumbnail asks for its pixels,
and of every tenth an analysis of a small region does too. Prints what became of them. The exit code is 1 where the server or its worker died, an
answer was a failure of the server's own, or none came within the decoders' limit.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.mutants import Specimen, mutate, specimens
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess

CLIENTS = 4
READ_CPU_S = 10
"""Processor seconds of one read: slides of this size need a tenth of one."""
LIMIT_S = 120.0
"""Seconds for one answer: two tries of `READ_CPU_S` on a machine with other work. What takes longer hangs."""
REGION = "0,0,400,400"
ANALYSED = 10
"""One of so many slides is also analysed: that takes ten times as long as to open one and asks the same decoders."""


def main(arguments: list[str]) -> int:
    """Print all counts; gives the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    stated = parser.parse_args(arguments)
    data = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[1] / "../shared/data")) / "slides"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole").mkdir()
        whole = specimens(folder / "whole", data if data.is_dir() else None)
        server = ServerProcess(
            folder, write_quick_models(folder / "models"), decoder_cpu_s=READ_CPU_S, keep_slides_s=60
        )
        server.start()
        before = server.pid, server.workers()
        started = time.monotonic()
        tally = Tally()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda n: _one(server, whole, f"{stated.seed}-{n}", tally), range(stated.count)))
        lived = server.alive() and before == (server.pid, server.workers())
        took = time.monotonic() - started
        server.stop()
    print(
        f"{stated.count} damaged slides of {len(whole)} whole ones in {took:.0f} s, slowest answer {tally.slowest:.1f} s"
    )
    for what, counted in (("damage", tally.damage), ("outcome", tally.outcomes)):
        print(f"  {what}: {', '.join(f'{number} {kind}' for kind, number in counted.most_common())}")
    print(
        f"  server and worker {'lived' if lived else 'DIED'}; {tally.hangs} hangs; {len(tally.failures) - tally.hangs} failures of the server"
    )
    for failure in tally.failures[:20]:
        print(f"  {failure}")
    return 0 if lived and not tally.failures else 1


class Tally:
    """What was counted, from several threads."""

    def __init__(self) -> None:
        self.damage, self.outcomes = Counter[str](), Counter[str]()
        self.failures: list[str] = []
        self.hangs, self.slowest = 0, 0.0
        self.lock = threading.Lock()


def _one(server: ServerProcess, whole: list[Specimen], seed: str, tally: Tally) -> None:
    """Bring the damaged slide that `seed` makes and count what becomes of it."""
    chance = random.Random(seed)
    specimen = chance.choice(whole)
    damage, data = mutate(specimen, chance)
    started = time.monotonic()
    outcome, hung, failure = "", False, None
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=LIMIT_S) as client:
            outcome, failure = _brought(client, specimen.name, data, analyse=chance.random() < 1 / ANALYSED)
    except httpx.TimeoutException:
        outcome, hung, failure = "no answer", True, f"no answer within {LIMIT_S:g} s"
    except httpx.TransportError as error:
        outcome, failure = "connection lost", f"{type(error).__name__}"
    with tally.lock:
        tally.damage[damage] += 1
        tally.outcomes[outcome] += 1
        tally.hangs += hung
        tally.slowest = max(tally.slowest, time.monotonic() - started)
        if failure is not None:
            tally.failures.append(f"{seed}, {specimen.name}, {damage}: {failure}")


def _brought(client: httpx.Client, name: str, data: bytes, *, analyse: bool) -> tuple[str, str | None]:
    """The outcome, and what was wrong with the server's answer if anything was."""
    stored = client.put("/v1/slides", params={"filename": name}, content=data)
    if stored.status_code != 201:
        return _refused("refused", stored)
    slide = stored.json()["id"]
    thumbnail = client.get(f"/v1/slides/{slide}/thumbnail", params={"max_side": 64})
    if thumbnail.status_code != 200:
        return _refused("thumbnail", thumbnail)
    if not analyse:
        return "read", None
    body = {"slide": slide, "options": {"mpp": 0.25, "roi": REGION, "min_tissue_fraction": 0}}
    submitted = client.post("/v1/analyses", json=body)
    if submitted.status_code != 202:
        return _refused("analysis", submitted)
    address = submitted.headers["location"]
    client.get(f"{address}/events").raise_for_status()  # ends with the analysis
    report = client.get(f"{address}/report")
    return ("analysed", None) if report.status_code == 200 else _refused("analysis", report)


def _refused(when: str, answer: httpx.Response) -> tuple[str, str | None]:
    kind = str(answer.json()["type"]).rsplit(":", 1)[-1]
    return f"{when}: {kind}", answer.text if answer.status_code >= 500 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
