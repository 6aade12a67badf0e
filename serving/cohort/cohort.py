"""From a manifest to a report of every slide and two tables of all. Start reading here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from serving.cohort.cases import write_cases
from serving.cohort.cluster import Resources, cluster
from serving.cohort.dispatch import TimeLimits, dispatch
from serving.cohort.errors import CohortError
from serving.cohort.ledger import CohortTally, Ledger
from serving.cohort.manifest import ManifestEntry
from serving.cohort.storage import open_storage
from serving.cohort.tables import remove_parts
from serving.cohort.worker import ModelFiles, WorkOrder
from serving.core.modelcard import load_card
from serving.registry.provenance import check_licences
from serving.scoring.batch_sizes import GPU_PROVIDERS, cores
from serving.scoring.models import newest_release

WORKERS = 2
"""On this machine, where it has no GPU and nothing else is asked for."""
THREADS = 4
"""Processors of a worker on a cluster without GPUs: two workers of 4 score more than one of 8."""


@dataclass(frozen=True, slots=True)
class CohortRun:
    """How a cohort is scored, beside what `WorkOrder` says; the order's `threads` are for this machine to choose.

    models : folder of <name>/<version>/card.json, of which the newest are sent to the workers
    address : of a Ray cluster that is there; None starts one on this machine
    workers, threads : None: as many as there is room for
    time_limit_s : for each slide; None: ten times what others of its size took
    again : slides are tried again, too, that failed by their own fault
    licences : of weights that may score; none: any
    """

    models: Path
    order: WorkOrder
    address: str | None = None
    workers: int | None = None
    threads: int | None = None
    time_limit_s: float | None = None
    again: bool = False
    licences: tuple[str, ...] = ()


class ProgressListener(Protocol):
    """Is told how far a cohort is."""

    def began(self, tally: CohortTally, pool: "WorkerPoolSize") -> None:
        """Workers are being started."""

    def went_on(self, tally: CohortTally, tiles_under_way: int) -> None:
        """Time has passed, or a slide has ended. tiles_under_way : done, of slides that have not ended."""


@dataclass(frozen=True, slots=True)
class WorkerPoolSize:
    """gpus : that each worker has to itself."""

    workers: int
    threads: int
    gpus: int
    nodes: int


def score_cohort(entries: Sequence[ManifestEntry], run: CohortRun, watcher: ProgressListener) -> CohortTally:
    """Score every slide that has no valid report yet; reports, reasons and tables are at the order's address.

    Whatever ended an earlier run, this one goes on from there: a slide is done when its report is there.

    Raises
    ------
    CohortError
        If there is no cluster, its workers do not start, or the tables cannot be written.
    ModelError, VersionRefusedError
        If the models are missing or altered, or their licence is not allowed.
    MitoserveError, OSError
        If the results cannot be read or written.
    """
    folders = newest_release(run.models)
    cards = [load_card(folder) for folder in folders.values()]
    check_licences(cards, run.licences)
    results = open_storage(run.order.results)
    ledger = Ledger(results, entries, run.order, cards)
    tasks = ledger.begin(again=run.again)
    wanted = (run.workers or WORKERS) * (run.threads or 1)
    with cluster(run.address, cpus=max(wanted, cores())) as resources:
        from serving.cohort.ray_workers import RayWorkerPool  # noqa: PLC0415 - Ray is an extra

        size = choose_pool_size(run, resources)
        pool = RayWorkerPool(replace(run.order, threads=size.threads), model_files(folders), gpus=size.gpus)
        try:
            watcher.began(ledger.tally, size)
            limits = TimeLimits(run.time_limit_s)
            for outcome, tries in dispatch(
                tasks,
                pool,
                workers=size.workers,
                limits=limits,
                tick=lambda: watcher.went_on(ledger.tally, pool.tiles()),
            ):
                ledger.note(outcome, tries)
            parts = ledger.members()
            pool.write_parts(parts)
            remove_parts(results, set(parts))
            write_cases(results, parts)
        finally:
            pool.close()
    return ledger.tally


def choose_pool_size(run: CohortRun, resources: Resources) -> WorkerPoolSize:
    """How many workers of what size.

    One a GPU with its share of the processors; without GPUs two on this machine, and on a cluster one for every few
    processors.

    Raises
    ------
    CohortError
        If no machine of the cluster has room for a worker.
    """
    gpus = 1 if resources.gpus and _uses_gpus(run.order.providers) else 0
    if gpus:
        workers, threads = run.workers or resources.gpus, run.threads or max(resources.cpus_per_gpu, 1)
    elif run.address is None:
        workers = run.workers or WORKERS
        threads = run.threads or max(cores() // workers, 1)
    else:
        threads = run.threads or min(THREADS, resources.largest_cpus)
        workers = run.workers or max(resources.cpus // threads, 1)
    if threads > resources.largest_cpus:
        raise CohortError(
            f"no machine of the cluster has {threads} processors, the largest has {resources.largest_cpus}; "
            "ask for fewer --threads"
        )
    room = resources.cpus // threads
    return WorkerPoolSize(
        min(workers, room, resources.gpus) if gpus else min(workers, room), threads, gpus, resources.nodes
    )


def _uses_gpus(providers: tuple[str, ...] | None) -> bool:
    return providers is None or providers[0] in GPU_PROVIDERS


def model_files(folders: dict[str, Path]) -> ModelFiles:
    """What is sent to the workers of version folders, by the models' names."""
    return {
        name: {path.name: np.fromfile(path, np.uint8) for path in sorted(folder.iterdir()) if path.is_file()}
        for name, folder in folders.items()
    }
