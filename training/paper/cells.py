"""Where the trainings of a grid run: one after the other, in processes of this machine, or as tasks of a Ray cluster."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process, set_start_method
from typing import Protocol, TypeVar

import torch

from serving.cohort.cluster import Resources, cluster

LOCAL = "local"
"""Address that starts a cluster on this machine."""
THREADS = 4
"""Processors of a training on a cluster without GPUs."""

_T = TypeVar("_T")
_Job = TypeVar("_Job")

Train = Callable[[_Job, torch.device], _T]
"""Runs one training on a device; it must be a function that other processes can import, perhaps with arguments bound."""


class TrainingRunner(Protocol):
    """Runs trainings in whatever order, and gives what each gave as it ends."""

    def __call__(self, train: Train[_Job, _T], wave: Sequence[_Job], /) -> Iterator[_T]:
        """What each training of the wave gave."""


@dataclass(frozen=True, slots=True)
class TrainingWorkers:
    """workers : trainings at once; address : of a Ray cluster, `local` for one on this machine, None for none."""

    workers: int = 1
    address: str | None = None


@contextmanager
def open_runner(places: TrainingWorkers) -> Iterator[TrainingRunner]:
    """What runs trainings there, until the block ends.

    Raises
    ------
    CohortError
        If there is no such cluster.
    """
    if places.address is not None:
        threads = max((os.cpu_count() or 1) // places.workers, 1)
        address = None if places.address == LOCAL else places.address
        with cluster(address, cpus=threads * places.workers) as resources:
            yield partial(
                _run_on_cluster, resources, threads if address is None else min(THREADS, resources.largest_cpus)
            )
    elif places.workers == 1:
        yield _run_in_turn
    else:
        yield partial(_run_in_processes, places.workers)


def device(lane: int) -> torch.device:
    """The GPU of a lane, where there are any: lanes are dealt out over them."""
    if torch.cuda.is_available():
        return torch.device("cuda", lane % torch.cuda.device_count())
    return torch.device("cpu")


def _run_in_turn(train: Train[_Job, _T], wave: Sequence[_Job]) -> Iterator[_T]:
    return (train(job, device(0)) for job in wave)


def _run_in_processes(workers: int, train: Train[_Job, _T], wave: Sequence[_Job]) -> Iterator[_T]:
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (workers,)) as pool:
        running = [pool.submit(train, job, device(number % workers)) for number, job in enumerate(wave)]
        for future in as_completed(running):
            yield future.result()


def _start_worker(workers: int) -> None:
    """Share the cores, and end with the process that started this one: a killed study leaves nobody who still writes."""
    torch.set_num_threads(max((os.cpu_count() or 1) // workers, 1))
    # A spawned process would spawn its loaders too, and each would import torch again.
    set_start_method("fork", force=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_on_cluster(resources: Resources, threads: int, train: Train[_Job, _T], wave: Sequence[_Job]) -> Iterator[_T]:
    """Each training is a task; one whose process or machine ends is started again, and goes on from its checkpoint."""
    import ray  # noqa: PLC0415 - an extra
    from ray.exceptions import RayTaskError  # noqa: PLC0415

    gpus = 1 if resources.gpus else 0
    cpus = min(threads, resources.cpus_per_gpu) if gpus else threads
    task = ray.remote(_cell).options(num_cpus=max(cpus, 1), num_gpus=gpus, max_retries=3)
    waiting = [task.remote(train, job, max(cpus, 1)) for job in wave]
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1)
        try:
            yield from ray.get(done)
        except RayTaskError as error:
            raise error.cause or error from None


def _cell(train: Train[_Job, _T], job: _Job, threads: int) -> _T:
    torch.set_num_threads(threads)
    return train(job, device(0))  # Ray shows a task the GPUs that are its own
