"""A training that ends badly, in a module that imports next to nothing: a cluster's process, which imports it, starts quickly."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

KILLED, FAILED = "killed once", "failed"
"""Jobs."""


def break_down(folder: Path, job: str, device: "torch.device") -> tuple[str, int]:
    """The job and the process; that of `KILLED` kills itself the first time, `FAILED` raises ValueError."""
    marker = folder / "was-here"
    if job == KILLED and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if job == FAILED:
        raise ValueError("nothing to learn from")
    return job, os.getpid()
