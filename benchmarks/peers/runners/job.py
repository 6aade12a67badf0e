"""What a runner is told and what it says, as JSON files: nothing here needs more than Python itself."""

import importlib
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunnerJob:
    """One command.

    slide : the only file of its folder
    model : what the tool loads, see the runner
    first, last : edges of the square whose windows are scored, level-0 px, the same across and down
    settings : of the tool, by name
    """

    slide: str
    model: str
    out: str
    first: int
    last: int
    slide_px: int
    window_px: int
    stride_px: int
    mpp: float
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As `read` takes it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls) -> "RunnerJob":
        """The job whose file is this program's only argument."""
        return cls(**json.loads(Path(sys.argv[1]).read_text()))


@dataclass
class WorkTimer:
    """Seconds between opening model and slide and having written the scores, and processor seconds before that."""

    seconds: float = 0.0
    processor_before: float = 0.0

    @contextmanager
    def timing(self) -> Iterator[None]:
        """What happens inside is the work."""
        self.processor_before, started = sum(os.times()[:4]), time.perf_counter()
        yield
        self.seconds = time.perf_counter() - started


def write_result(
    job: RunnerJob, work: WorkTimer, scores: Iterable[tuple[int, int, float]], packages: Iterable[str]
) -> None:
    """Write what was measured, the scores as (x, y, score) and the versions of distributions that are installed."""
    found = {
        "seconds": work.seconds,
        "processor_before": work.processor_before,
        "scores": list(scores),
        "packages": {name: version(name) for name in packages},
    }
    (Path(job.out) / "told.json").write_text(json.dumps(found))


def threads_of_torch() -> int:
    """Threads that torch computes with, by its own count."""
    torch: Any = importlib.import_module("torch")
    return int(torch.get_num_threads())
