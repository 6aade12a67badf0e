"""A Ray cluster: one of this machine's own, or one that is there."""

import contextlib
import os
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.cohort.errors import CohortError
from serving.cohort.scratch import scratch

STORE_BYTES = 512 * 2**20
"""Ray's shared memory on this machine's own cluster: it holds the models' files once, and nothing of slides."""

TRIES = 3
"""Ray gives its processes 30 s to start, which on a machine that is busy with other things may not do."""

_SHORT = Path("/tmp")  # noqa: S108 - a folder of one's own is made in it
"""Where Ray's sockets lie: their paths have at most 107 bytes."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a cluster has, as its machines state it.

    largest_cpus : of the machine that has most; cpus_per_gpu : of the machine with GPUs where they are fewest
    """

    cpus: int
    gpus: int
    nodes: int
    largest_cpus: int
    cpus_per_gpu: int = 0


@contextmanager
def cluster(address: str | None, *, cpus: int) -> Iterator[Resources]:
    """Ray, connected to; what was started is ended when the block ends, also where it ends by an error.

    address : of a cluster that is there, as `ray.init` takes it; None starts one on this machine that answers the loopback
        address alone
    cpus : workers of this machine's own cluster may use, whatever it has

    Raises
    ------
    CohortError
        If Ray is not installed, or the cluster cannot be reached or started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        # Read when Ray is imported. By default it listens on the machine's address, although nobody else is to come.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # Ray's own choice, 15, gives way to everything else; who wants that starts the command by `nice`.
        os.environ.setdefault("RAY_worker_niceness", "0")
        # A token of its own, or Ray would write one into the home folder.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray  # noqa: PLC0415 - an extra, and seconds to import
    except ImportError as error:
        raise CohortError("a cluster needs Ray: pip install 'mitoserve[cohort]'") from error
    asked: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "error"}
    with ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(scratch(_SHORT))
            asked |= {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}
            asked |= {"_temp_dir": str(folder)}
        stack.callback(ray.shutdown)
        for attempt in range(TRIES if address is None else 1, 0, -1):
            try:
                ray.init(address=address or "local", **asked)
                break
            except Exception as error:  # Ray's own types, and those of what it starts
                ray.shutdown()
                if address is None:
                    _end_started(folder)
                if attempt == 1:
                    raise CohortError(_refusal(address, error)) from error
        yield _resources([node["Resources"] for node in ray.nodes() if node["Alive"]])


def _end_started(folder: Path) -> None:
    """End what a start that failed has left: Ray ends only what started as a whole."""
    for listed in Path("/proc/self/task").glob("*/children"):
        for pid in listed.read_text().split():
            with contextlib.suppress(OSError):
                if str(folder) in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(int(pid), signal.SIGKILL)
                    os.waitpid(int(pid), 0)


def _refusal(address: str | None, error: Exception) -> str:
    where = "a cluster on this machine" if address is None else f"the cluster at {address}"
    said = str(error).strip().splitlines() or [type(error).__name__]
    return f"{where} cannot be used: {said[0][:300]}"


def _resources(nodes: Sequence[Mapping[str, float]]) -> Resources:
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    shares = [cpu // gpu for cpu, gpu in zip(cpus, gpus, strict=True) if gpu]
    return Resources(sum(cpus), sum(gpus), len(nodes), max(cpus, default=0), min(shares, default=0))
