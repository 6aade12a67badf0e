"""A Ray cluster: one of this machine's own, or one that is there."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from serving.cohort.errors import CohortError

STORE_BYTES = 512 * 2**20
"""Ray's shared memory on this machine's own cluster: it holds the models' files once, and nothing of slides."""


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
        # A token of its own, or Ray would write one into the home folder.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray  # noqa: PLC0415 - an extra, and seconds to import
    except ImportError as error:
        raise CohortError("a cluster needs Ray: pip install 'mitoserve[cohort]'") from error
    # Sockets lie in it, whose paths have at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="mitoserve-ray-", dir="/tmp") if address is None else None
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": "error"}
    try:
        try:
            if address is not None:
                ray.init(address=address, **quiet)
            else:
                ray.init(
                    address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=STORE_BYTES,
                    _temp_dir=folder, **quiet,
                )  # fmt: skip
        except Exception as error:  # Ray's own types, and those of what it starts
            where = "a cluster on this machine" if address is None else f"the cluster at {address}"
            raise CohortError(f"{where} cannot be used: {str(error).strip().splitlines()[0][:300]}") from error
        yield _resources([node["Resources"] for node in ray.nodes() if node["Alive"]])
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _resources(nodes: Sequence[Mapping[str, float]]) -> Resources:
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    shares = [cpu // gpu for cpu, gpu in zip(cpus, gpus, strict=True) if gpu]
    return Resources(sum(cpus), sum(gpus), len(nodes), max(cpus, default=0), min(shares, default=0))
