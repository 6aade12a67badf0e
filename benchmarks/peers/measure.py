"""One command: its wall and processor time, and what it says of itself."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.peers.lattice import Origin
from benchmarks.peers.runners.job import RunnerJob

_LINES = 15


class FailedError(Exception):
    """A tool ended with an error; the message has the last lines that it wrote."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool with its settings.

    runner : module that is run. model : what it loads. peer : whether it is another project's
    exact : its scores must be those of the network on each window alone
    """

    name: str
    python: Path
    runner: str
    model: Path
    settings: Mapping[str, object]
    peer: bool = True
    exact: bool = True


@dataclass(frozen=True, slots=True)
class ToolRun:
    """Seconds of one run.

    work, work_processor : from opening model and slide to written scores. The processor's share is all that the command
        used after it had begun, because worker processes are only counted once they have ended.
    whole, whole_processor : the command, with starting Python, imports and whatever comes after the scores
    """

    work: float
    work_processor: float
    whole: float
    whole_processor: float


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool found, and the packages that it ran on."""

    origins: list[Origin]
    scores: dict[Origin, float]
    packages: dict[str, str]


def measure(tool: Tool, job: RunnerJob, folder: Path, environment: Mapping[str, str]) -> tuple[ToolRun, ToolResult]:
    """Run a tool once in a new `folder`; its working folder, so that nothing is written elsewhere.

    Raises
    ------
    FailedError
        If it ends with an error.
    """
    folder.mkdir(parents=True)
    told = replace(job, model=str(tool.model), out=str(folder), settings=dict(tool.settings))
    told.write(folder / "job.json")
    command = [str(tool.python), "-m", tool.runner, str(folder / "job.json")]
    with (folder / "log.txt").open("w") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        whole = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join((folder / "log.txt").read_text().splitlines()[-_LINES:])
        raise FailedError(f"{tool.name} ended with {process.returncode}:\n{last}")
    found = json.loads((folder / "told.json").read_text())
    processor = used.ru_utime + used.ru_stime
    turn = ToolRun(found["seconds"], processor - found["processor_before"], whole, processor)
    origins = [(x, y) for x, y, _ in found["scores"]]
    scores = dict(zip(origins, (score for _, _, score in found["scores"]), strict=True))
    return turn, ToolResult(origins, scores, found["packages"])
