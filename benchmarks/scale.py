"""How long and how dear a cohort is: `python -m benchmarks.scale [--slides 1000000] [--tissue 150] [--gigabytes 1] ...`.

A model on paper: what one worker was measured to take for tissue, times tissue, against what storage delivers. Nothing is
measured here. Seconds are those of docs/speed.md; tissue, size, bandwidth and prices are the reader's own.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

REPORT_BYTES_PER_MM2 = 783 * 16
"""A tile's part of report.json, measured on 36 tiles, and tiles of 0.0625 mm2."""


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """What scores one slide at a time.

    seconds_per_mm2 : of tissue, with all that it has
    seconds_per_slide : before the first tile: the overview
    cores : processors that it takes
    """

    name: str
    seconds_per_mm2: float
    seconds_per_slide: float
    cores: int
    gpu: bool
    measured: str


WORKERS = (
    WorkerKind("2 cores, AVX2", 229 / 2.35, 0.2, 2, False, "icpr2012-dev.tif, 2.35 mm2, 229 s"),
    WorkerKind("2 cores, AVX2, CPU-int8", 229 / 2.35 / 2.31, 0.2, 2, False, "1 / 2.31 of the time, on nine fields"),
    WorkerKind("2 cores, AVX-512", 110 / 2.35, 0.2, 2, False, "icpr2012-dev.tif, 2.35 mm2, 110 s"),
    WorkerKind("2 cores, AVX-512, CPU-int8", 42 / 2.35, 0.2, 2, False, "icpr2012-dev.tif, 2.35 mm2, 42 s"),
    WorkerKind(
        "2 cores, AVX-512, ordinary tissue",
        280.6 / 23.63,
        0.2,
        2,
        False,
        "generated, 40,000 px, 23.63 mm2, exact, 280.6 s",
    ),
    WorkerKind("2 cores, AVX-512, ordinary tissue, fast", 27.0 / 23.63, 0.2, 2, False, "the same slide, fast, 27.0 s"),
    WorkerKind(
        "2 cores, AVX-512, ordinary tissue, CPU-int8",
        85.8 / 23.63,
        0.2,
        2,
        False,
        "generated, 40,000 px, 23.63 mm2, exact, 85.8 s",
    ),
    WorkerKind(
        "2 cores, AVX-512, ordinary tissue, CPU-int8, fast", 13.0 / 23.63, 0.2, 2, False, "the same slide, fast, 13.0 s"
    ),
    WorkerKind(
        "2 cores, AVX-512, ordinary tissue, OpenVINO-bf16",
        9.8 / 1.73,
        0.2,
        2,
        False,
        "generated, 10,000 px, 1.73 mm2, exact, 9.8 s, no AMX",
    ),
    WorkerKind(
        "2 cores, AVX-512, ordinary tissue, OpenVINO-bf16, fast",
        1.5 / 1.73,
        0.2,
        2,
        False,
        "the same slide, fast, 1.5 s",
    ),
    WorkerKind(
        "H200, 16 cores", (49.6 - 1.1) / (3025 / 16), 1.1, 16, True, "3,025 tiles of the most active tissue, 49.6 s"
    ),
)
"""From docs/speed.md and the README."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """What a reader has: slides, their tissue (mm2) and size (GB), storage (GB/s), and prices an hour."""

    slides: int
    tissue_mm2: float
    gigabytes: float
    storage_gb_s: float
    gpu_price: float
    core_price: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What follows for one kind of worker.

    most_workers : more than these wait for storage
    """

    slides_per_hour: float
    hours: float
    price: float
    most_workers: int


def estimate(worker: WorkerKind, cohort: Cohort, workers: int) -> Estimate:
    """Hours and price of a cohort on so many workers, none of which waits for another but for storage."""
    seconds = worker.seconds_per_slide + worker.seconds_per_mm2 * cohort.tissue_mm2
    most = cohort.storage_gb_s / (cohort.gigabytes / seconds)
    at_work = min(float(workers), most)
    hours = cohort.slides * seconds / at_work / 3600
    hourly = worker.cores * cohort.core_price + (cohort.gpu_price if worker.gpu else 0.0)
    return Estimate(3600 / seconds, hours, hours * workers * hourly, max(math.floor(most), 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of sizes and workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--slides", type=int, help="one size in place of 1,000 to 1,000,000")
    parser.add_argument("--tissue", type=float, default=150.0, help="mm2 of tissue a slide")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of a slide's file")
    parser.add_argument(
        "--storage", type=float, default=1.25, help="GB/s that storage delivers to all workers together"
    )
    parser.add_argument("--gpu-price", type=float, default=3.0, help="of one GPU, an hour")
    parser.add_argument("--core-price", type=float, default=0.04, help="of one core, an hour")
    parser.add_argument("--workers", type=int, default=8)
    stated = parser.parse_args(arguments)
    cohort = Cohort(
        0, stated.tissue, stated.gigabytes, stated.storage, gpu_price=stated.gpu_price, core_price=stated.core_price
    )
    print(
        f"| slides | {stated.workers} workers of | slides/h each | hours | price | most before storage is full | reports, GB |"
    )
    print("|---|---|---|---|---|---|---|")
    for slides in [stated.slides] if stated.slides else [1_000, 20_000, 1_000_000]:
        for worker in WORKERS:
            found = estimate(worker, replace(cohort, slides=slides), stated.workers)
            reports = slides * stated.tissue * REPORT_BYTES_PER_MM2 / 1e9
            print(
                f"| {slides:,} | {worker.name} | {found.slides_per_hour:.2g} | {found.hours:,.0f} | {found.price:,.0f} "
                f"| {found.most_workers:,} | {reports:,.1f} |"
            )


if __name__ == "__main__":
    main()
