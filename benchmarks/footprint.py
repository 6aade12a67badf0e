"""What a server and all processes below it take of the machine's memory and processors."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server_process import ServerProcess, children

LOOK_S, LOOK_SHARE = 0.5, 0.05
"""Seconds between two looks, or more, so that looking takes no more than this share of the time: a look asks the kernel for each
page of each process."""


def family(pid: int) -> list[int]:
    """A process and every living process below it."""
    return [pid, *(descendant for child in children(pid) for descendant in family(child))]


def memory_bytes(pid: int) -> int:
    """Memory of a process and of all below it; what several of them share counts once (`proc(5)`, Pss)."""
    return sum(_proportional(member) for member in family(pid))


def _proportional(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def family_processor_s(pid: int) -> float:
    """Processor seconds so far of a process and of all below it, those that ended and were waited for included."""
    return sum(_ticks(member) for member in family(pid)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # it has ended
        return 0
    return sum(int(field) for field in fields[11:15])


class Footprint:
    """The most memory that was seen, and how often the server or its worker was another than before."""

    def __init__(self) -> None:
        self.peak_bytes, self.deaths = 0, 0

    @contextmanager
    def watching(self, server: ServerProcess) -> Iterator["Footprint"]:
        """Look at the server again and again until the block ends."""
        done = threading.Event()

        def watch() -> None:
            before, rest = (server.pid, server.workers()), LOOK_S
            while not done.wait(rest):
                started = time.monotonic()
                self.peak_bytes = max(self.peak_bytes, memory_bytes(server.pid))
                now = server.pid, server.workers()
                self.deaths += now != before
                before, rest = now, max(LOOK_S, (time.monotonic() - started) / LOOK_SHARE)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            done.set()
            watcher.join()
