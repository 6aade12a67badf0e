"""What two workers give over one, and what kills cost: `python -m benchmarks.cohort`.

Draws a cohort of small slides, five of them bad, and scores it by turns with one and with two workers of a thread each, on a
Ray cluster of this machine's own. Pace is counted from the first report to the last, since starting Ray takes as long as
tens of such slides; on a busy machine wall times say little, so processor time for each slide is printed too, and both cohorts
are also scored at the same time, where whatever else runs slows them alike. MITOSIS_PROVIDERS is heeded. Then it kills a worker and the driver with SIGKILL in the middle, gives the same command again, and counts.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.processor import processor_s
from serving.synthetic.slide import generate_slide
from tests.quick_models import write_quick_models
from tests.ray_workers import find_workers
from tests.samples import noise, write_pyramid

SIDE = 1024
DRAWN = 20
"""Different slides; the others are copies of them, since drawing one takes longer than scoring it here."""
BAD = 5
LOOK_S = 5.0
"""Between looks at the memory of all processes, which take a tenth of a second."""


@dataclass(frozen=True, slots=True)
class CohortInputs:
    """What is scored, and with which models."""

    manifest: Path
    models: Path


@click.command()
@click.option("--slides", default=200, show_default=True, help="Of which five are bad.")
@click.option("--rounds", default=2, show_default=True, help="0: only the kills.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    help="Folder of models; by default small ones, which cost next to nothing.",
)
@click.option("--kills/--no-kills", default=True, show_default=True, help="Also score at the same time, and kill.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where slides are kept for another time.")
def main(*, slides: int, rounds: int, models: Path | None, kills: bool, folder: Path | None) -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory(prefix="cohort-") as temporary:
        place = folder or Path(temporary)
        inputs = CohortInputs(place / "cohort.csv", models or place / "models")
        _draw(place, slides)
        print(f"{slides} slides of {SIDE} px, {BAD} of them bad; load {os.getloadavg()[0]:.1f}", flush=True)
        paces: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(rounds):
            for workers in (1, 2):
                pace, cost, peak = _time_cohort(inputs, Path(temporary) / f"{turn}-{workers}", slides, workers)
                paces[workers].append(pace)
                print(
                    f"  {workers} worker{'s' * (workers > 1)}: {pace:.2f} slides/s, {cost:.2f} processor s a slide, "
                    f"{peak / 2**20:.0f} MiB in all processes at most; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        ratios = [two / one for one, two in zip(paces[1], paces[2], strict=True)]
        if ratios:
            print(
                f"two workers over one: median {statistics.median(ratios):.2f} ({', '.join(f'{r:.2f}' for r in ratios)})"
            )
        if not kills:
            return
        _at_once(inputs, Path(temporary))
        _kill(inputs, Path(temporary) / "killed", slides)


def _draw(inputs: Path, slides: int) -> None:
    """Good slides, and one each that is cut off, empty, no slide, of no resolution, and missing."""
    if (inputs / "cohort.csv").exists():
        return
    write_quick_models(inputs / "models")
    folder = inputs / "slides"
    folder.mkdir(parents=True)
    names = [f"{number:03}.tif" for number in range(slides - BAD)]
    for number, name in enumerate(names):
        if number < DRAWN:
            generate_slide(folder / name, seed=number, width=SIDE, height=SIDE, tissue_fraction=0.7)
        else:
            shutil.copyfile(folder / names[number % DRAWN], folder / name)
    whole = (folder / names[0]).read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.svs").write_text("no slide")
    write_pyramid(folder / "unsaid.tif", noise(600, 600), mpp=None)
    rows = [
        f"slides/{name},{name.partition('.')[0]}" for name in [*names, "cut.tif", "empty.tif", "text.svs", "unsaid.tif"]
    ]
    (inputs / "cohort.csv").write_text("\n".join(["slide,id", *rows, "slides/missing.svs,missing"]) + "\n")


def _start(inputs: CohortInputs, out: Path, workers: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "serving.cli", "cohort", "score", str(inputs.manifest), "--out", str(out)]
    command += ["--models", str(inputs.models), "--workers", str(workers), "--threads", "1", "--json"]
    with out.with_suffix(".log").open("a") as log:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)


def _summary(driver: "subprocess.Popen[str]", out: Path) -> dict[str, Any]:
    said = driver.communicate()[0]
    if not said:
        raise click.ClickException(out.with_suffix(".log").read_text())
    summary: dict[str, Any] = json.loads(said)
    return summary


def _time_cohort(inputs: CohortInputs, out: Path, slides: int, workers: int) -> tuple[float, float, int]:
    """Slides a second, processor seconds of each, and the most memory that all processes had of their own, in bytes."""
    used = processor_s()
    driver = _start(inputs, out, workers)
    peak, cost, looked = 0, 0.0, 0.0
    while driver.poll() is None:
        cost = max(cost, processor_s() - used)
        if time.monotonic() - looked > LOOK_S:
            peak, looked = max(peak, _memory(driver.pid)), time.monotonic()
        time.sleep(0.5)
    summary = _summary(driver, out)
    assert (summary["done"], summary["failed"]) == (slides - BAD, BAD), summary
    times = sorted(path.stat().st_mtime for path in out.glob("reports/*.gz"))
    return (len(times) - 1) / (times[-1] - times[0]), cost / len(times), peak


def _at_once(inputs: CohortInputs, folder: Path) -> None:
    """What two workers do while one does its share, from when both have begun until the first cohort is through."""
    outs = {workers: folder / f"beside-{workers}" for workers in (1, 2)}
    drivers = {workers: _start(inputs, out, workers) for workers, out in outs.items()}
    count = {workers: lambda out=out: len(list(out.glob("reports/*.gz"))) for workers, out in outs.items()}
    while not all(number() for number in count.values()):
        time.sleep(0.05)
    first, started = {workers: number() for workers, number in count.items()}, time.monotonic()
    while all(driver.poll() is None for driver in drivers.values()):
        time.sleep(0.2)
    done = {workers: number() - first[workers] for workers, number in count.items()}
    for driver in drivers.values():
        driver.terminate()
        driver.wait()
    print(f"at the same time, in {time.monotonic() - started:.0f} s: one worker {done[1]} slides, two workers {done[2]}: "
          f"{done[2] / done[1]:.2f}; load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip


def _memory(pid: int) -> int:
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().uss
        except psutil.Error:
            continue
    return total


def _kill(inputs: CohortInputs, out: Path, slides: int) -> None:
    def reports() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in out.glob("reports/*.gz")}

    driver = _start(inputs, out, 2)
    while len(reports()) < slides // 5:
        time.sleep(0.05)
    at_worker = len(reports())
    find_workers(driver.pid)[0].send_signal(signal.SIGKILL)
    while len(reports()) < slides // 2:
        time.sleep(0.05)
    processes, workers = psutil.Process(driver.pid).children(recursive=True), find_workers(driver.pid)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    started = time.monotonic()
    psutil.wait_procs(workers, timeout=60)
    print(f"a worker was killed after {at_worker} reports; the driver after {len(reports())}, its workers ended within "
          f"{time.monotonic() - started:.1f} s", flush=True)  # fmt: skip
    before = reports()
    summary = _summary(_start(inputs, out, 2), out)
    after = reports()
    again = sum(after[name] != when for name, when in before.items())
    problems = Counter(failure["problem"] for failure in summary["failures"])
    print(
        f"the same command again: {summary['kept']} kept, {summary['scored']} scored, {summary['failed']} failed "
        f"({', '.join(sorted(problems))}), {summary['left']} left; {again} reports were written twice"
    )
    _, alive = psutil.wait_procs(processes, timeout=120)
    print(f"processes of the killed driver that are left: {len(alive)}")


if __name__ == "__main__":
    main()
