"""Which of several training processes this is; `torchrun` starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class Process:
    """rank : 0 to world - 1; process 0 alone writes files and prints. device : where this process computes."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True of the one process that writes."""
        return self.rank == 0


@contextmanager
def joined() -> Iterator[Process]:
    """This process among those that `torchrun` started (gloo on CPUs, NCCL on GPUs), or the only one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if world == 1:
        yield Process(0, 1, device)
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Process(distributed.get_rank(), world, device)
    finally:
        distributed.destroy_process_group()
