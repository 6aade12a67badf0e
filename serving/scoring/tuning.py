"""How many threads compute fastest on this machine: measured when somebody asks, and kept in this user's cache.

Two threads of one core share its arithmetic, so on some processors a thread a core is faster and on others a thread a processor is.
Nothing is measured by itself: on a machine that is busy with something else the answer would be that of the hour.
"""

import contextlib
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from serving.scoring.batch_sizes import cores

ROUNDS = 5
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
WORTH = 0.97
"""Another number than one a processor is chosen where it takes less than this share of the time: less is noise."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What was measured.

    seconds : of one tile, the median, by number of threads
    threads : what sessions of this provider use from now on
    """

    provider: str
    seconds: dict[int, float]
    threads: int


def choose_threads(provider: str) -> int:
    """Threads of one graph: what `tune` found to be the fastest here, else one a processor."""
    return _read_kept().get(_key(provider, cores()), cores())


def candidates() -> list[int]:
    """Numbers worth trying: one a processor, one a core, and one less of either, most first."""
    every, physical = cores(), _physical()
    return sorted({n for n in (every, every - 1, physical, physical - 1) if n > 0}, reverse=True)


def tune(
    provider: str,
    opened: Callable[[int], Callable[[], object]],
    numbers: Sequence[int],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> TuningResult:
    """Measure by turns, and keep what is fastest for this machine.

    opened : gives what computes one tile with so many threads
    numbers : of threads; the first is the default, one a processor

    Raises
    ------
    OSError
        If the answer cannot be kept.
    """
    _keep({key: value for key, value in _read_kept().items() if key != _key(provider, numbers[0])})
    runs = {number: opened(number) for number in numbers}
    for run in runs.values():
        run()  # the first one plans
    taken: dict[int, list[float]] = {number: [] for number in numbers}
    for _ in range(ROUNDS):
        for number, run in runs.items():
            started = clock()
            run()
            taken[number].append(clock() - started)
    seconds = {number: statistics.median(times) for number, times in taken.items()}
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[fastest] < WORTH * seconds[numbers[0]] else numbers[0]
    _keep({**_read_kept(), _key(provider, numbers[0]): chosen})
    return TuningResult(provider, seconds, chosen)


def _key(provider: str, processors: int) -> str:
    """What a number of threads was measured for."""
    told = [_processor(), processors, provider, onnxruntime.__version__]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _processor() -> str:
    """The processor's name, where the system tells."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return ""


def _physical() -> int:
    """Cores of which this process may use a processor; all processors where the system does not tell."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        return len({Path(_SIBLINGS.format(number)).read_text() for number in mine}) or cores()
    except OSError:
        return cores()


def _read_kept() -> dict[str, int]:
    try:
        found = json.loads(_file().read_text())
        return {key: int(value) for key, value in found.items() if int(value) > 0}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(numbers: dict[str, int]) -> None:
    path = _file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(numbers))
    part.replace(path)


def _file() -> Path:
    return cache_folder() / "threads.json"


def cache_folder() -> Path:
    """The folder of this user for what can be made again (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mitoserve"


def noise_tile(side: int) -> NDArray[np.uint8]:
    """A picture that no shortcut can be taken on, uint8, shape (1, side, side, 3)."""
    return np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
