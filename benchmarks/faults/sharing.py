"""A database that somebody locks, two servers on one state folder, and a worker that comes back from the dead."""

import os
import signal
import sqlite3
import time
from collections import Counter

from benchmarks.faults.environment import FaultEnvironment, check, submit, upload_slide, wait
from tests.server_process import ServerProcess

LOCKED_S = 25.0
"""Longer than a writer waits and than a lease lasts."""
ANALYSES = 8
STOPPED_S = 8.0


def lock_database(environment: FaultEnvironment) -> str:
    """Hold SQLite's write lock while an analysis runs: requests get 503, nothing is lost."""
    server = environment.server()
    slide = upload_slide(server, environment.slide)
    wanted = {0.3: submit(server, slide, 0.3)}
    address = f"/v1/analyses/{wanted[0.3]}"
    server.wait_until(lambda: server.client.get(address).json()["progress"]["tiles_done"] > 0, 60)
    holder = sqlite3.connect(server.state / "mitoserve.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    until = time.monotonic() + LOCKED_S
    refused = 0
    while time.monotonic() < until:
        body = {"slide": slide, "options": {"mpp": 0.25, "threshold": 0.5}}
        answer = server.client.post("/v1/analyses", json=body)
        assert answer.status_code == 503, answer.text
        assert "retry-after" in answer.headers
        assert server.client.get(address).status_code == 200, "reading must go on"
        refused += 1
    holder.rollback()
    holder.close()
    wanted[0.5] = submit(server, slide, 0.5)
    wait(server, list(wanted.values()))
    count = check(server, environment, wanted)
    assert len(server.client.get("/v1/analyses").json()["analyses"]) == len(wanted), "a refused request left a trace"
    server.stop()
    return (
        f"locked for {LOCKED_S:g} s: {refused} submissions answered with 503, reads went on; {count.succeeded} of "
        f"{len(wanted)} analyses succeeded, equal to undisturbed runs, begun {count.runs} times"
    )


def two_servers(environment: FaultEnvironment) -> str:
    """Submit to both in turn: each analysis runs once, on either."""
    first, second = environment.server(), environment.server()
    slide = upload_slide(first, environment.slide)
    wanted = {round(0.3 + n / 100, 2): "" for n in range(ANALYSES)}
    for number, threshold in enumerate(wanted):
        wanted[threshold] = submit((first, second)[number % 2], slide, threshold)
    wait(first, list(wanted.values()))
    count = check(second, environment, wanted)
    assert count.runs == ANALYSES, f"{ANALYSES} analyses were begun {count.runs} times"
    shares = _shares(first)
    first.stop()
    second.stop()
    assert len(shares) == 2, f"one server did all: {shares}"
    return f"{count.succeeded} analyses begun {count.runs} times, {' and '.join(map(str, shares))} by each server"


def stop_worker(environment: FaultEnvironment) -> str:
    """Freeze a worker for longer than its lease: another takes over, and what the frozen one writes later is void."""
    first, second = environment.server(), environment.server()
    slide = upload_slide(first, environment.slide)
    wanted = {0.3: submit(first, slide, 0.3)}
    address = f"/v1/analyses/{wanted[0.3]}"
    first.wait_until(lambda: first.client.get(address).json()["progress"]["tiles_done"] > 0, 60)
    frozen = _holder(first, second, wanted[0.3])
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STOPPED_S)  # longer than the lease
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    wait(first, list(wanted.values()))
    time.sleep(1)  # time for the frozen one to try to write
    count = check(first, environment, wanted)
    assert count.runs == 2, f"begun {count.runs} times"
    first.stop()
    second.stop()
    return f"frozen for {STOPPED_S:g} s: taken over once, ended once, equal to an undisturbed run; {count.most_redone} tiles done again"


def _holder(first: ServerProcess, second: ServerProcess, analysis: str) -> list[int]:
    """Process ids of the worker that runs the analysis."""
    with sqlite3.connect(first.state / "mitoserve.sqlite") as database:
        (worker,) = database.execute("SELECT worker FROM analyses WHERE id = ?", (analysis,)).fetchone()
    found = [pid for server in (first, second) for pid in server.workers() if worker.encode() in _command(pid)]
    assert len(found) == 1, f"{len(found)} workers hold the analysis"
    return found


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as handle:
        return handle.read()


def _shares(server: ServerProcess) -> list[int]:
    with sqlite3.connect(server.state / "mitoserve.sqlite") as database:
        rows = database.execute("SELECT worker FROM analyses").fetchall()
    return sorted(Counter(row[0] for row in rows).values())
