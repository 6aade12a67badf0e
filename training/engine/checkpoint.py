"""Files of a run that it goes on from: checkpoints, and what its sampling was renewed with."""

import os
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor


class Checkpoint(TypedDict):
    """What a run needs to go on from where it stopped."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    lowest: float
    """The lowest figure of a validation so far."""
    average: dict[str, Tensor]
    """Empty where the plan keeps none."""


def read_checkpoint(out: Path) -> Checkpoint | None:
    """What a run in `out` goes on from; the folder is made where there is none."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "last.pt"
    if not path.is_file():
        return None
    state: Checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    return state


def save(path: Path, state: object) -> None:
    """Write with torch, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as handle:
        torch.save(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(part, path)
