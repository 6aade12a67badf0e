"""Which of several training processes this is; `torchrun` starts them, on one machine or on several."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Process:
    """rank : 0 to world - 1; process 0 alone reads and writes the run's folder, and prints.

    device : where this process computes; here : how many of the processes share this machine
    """

    rank: int
    world: int
    device: torch.device
    here: int = 1

    @property
    def leads(self) -> bool:
        """True of the one process that writes."""
        return self.rank == 0

    def from_leader(self, read: Callable[[], _T]) -> _T:
        """What `read` gives in the process that leads, in all of them: the others' machines may not have its files."""
        if self.world == 1:
            return read()
        box = [read() if self.leads else None]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]  # type: ignore[return-value]  # what the leader put in


@contextmanager
def join_processes() -> Iterator[Process]:
    """The present process among those that `torchrun` started (gloo on CPUs, NCCL on GPUs), or the only one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world == 1:
        yield Process(0, 1, device)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Process(distributed.get_rank(), world, device, int(os.environ.get("LOCAL_WORLD_SIZE", world)))
    finally:
        distributed.destroy_process_group()
