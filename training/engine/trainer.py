"""The training program: `fit` shows all of it."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from training.engine.distributed import Process
from training.engine.log import TrainingLog

Losses = dict[str, Tensor]


FEW_BATCHES = 8
"""So few are made sooner than a process that would make them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What determines a run, beside model, samples and optimiser."""

    seed: int
    steps: int
    batch: int
    """Samples that one optimiser step learns from: over all processes and accumulated parts together."""
    accumulate: int = 1
    """Parts that a process's share of the batch is cut into, to fit its memory."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    checkpoint_every: int = 100
    validate_every: int = 0
    """Steps between validations; 0: the last weights are the result."""
    clip_norm: float = 5.0
    """Longest gradient, over all weights; longer ones are scaled down to it."""
    averaging: float = 0.0
    """Decay per step of a running average of the weights, which is then the result; 0: no average is kept."""


class Checkpoint(TypedDict):
    """What a run needs to go on from where it stopped."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    lowest: float
    average: dict[str, Tensor]
    """Empty where the plan keeps none."""


class Samples(Dataset[Any]):
    """Sample number i of a run is drawn from the seed and i alone, in whichever process or worker asks for it."""

    def __init__(self, draw: Callable[[np.random.Generator], Any], seed: int) -> None:
        self.draw, self.seed = draw, seed

    def __getitem__(self, index: int) -> Any:
        return self.draw(np.random.default_rng([self.seed, index]))


def fit(
    plan: Plan,
    model: nn.Module,
    samples: Dataset[Any],
    *,
    collate: Callable[[Sequence[Any]], tuple[Any, ...]],
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    out: Path,
    process: Process,
    validate: Callable[[], float] | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Train `model` in place, and leave checkpoint, final weights and logs in `out`.

    `last.pt` is the checkpoint, `model.pt` the result, `log.csv` and `tensorboard/` the losses of each step. A run that
    was stopped at any moment goes on from its checkpoint to the very weights that it would have reached. Of several
    processes the first alone needs `out`.

    model : its forward takes what `collate` gives, on the process's device, and returns named losses
    rate : step -> factor of the optimiser's learning rates
    validate : a figure of the present weights, lower is better; those with the lowest are the result; not with averaging

    Raises
    ------
    FloatingPointError
        If a loss is not finite; the message names the step and each loss.
    ValueError
        If the batch does not divide evenly over processes and parts, or a run validates and averages at once.
    """
    if plan.averaging and validate:
        raise ValueError("the result is either the average of the weights or the ones that validate best")
    indices = _indices(plan, process)
    model.to(process.device).to(memory_format=torch.channels_last).train()
    average = _averaged(model, plan)
    state = process.from_leader(lambda: _checkpoint(out))
    first, lowest = _resume(state, model, optimizer, average) if state else (0, float("inf"))
    base = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    loader = _loader(samples, list(itertools.islice(indices, first * plan.accumulate, None)), collate, process)
    trained = DistributedDataParallel(model) if process.world > 1 else model
    log = TrainingLog(out, first=first, steps=plan.steps, batch=plan.batch, say=say) if process.leads else None
    parts = iter(loader)
    for step in range(first, plan.steps):
        _set_rates(optimizer, base, rate(step))
        optimizer.zero_grad()
        totals = _gradients(plan, trained, parts, step, process=process, log=log)
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
        optimizer.step()
        if average:
            average.update_parameters(model)
        if log:
            log.write(step, totals)
        done = step + 1
        if validate and plan.validate_every and (done % plan.validate_every == 0 or done == plan.steps):
            if log:
                value = _validated(model, validate)
                if value < lowest or not (out / "best.pt").exists():
                    save(out / "best.pt", model.state_dict())
                lowest = min(value, lowest)
                log.validated(done, value)
            _wait_for_all(process)
        if process.leads and (done % plan.checkpoint_every == 0 or done == plan.steps):
            save(
                out / "last.pt",
                Checkpoint(
                    step=done,
                    model=model.state_dict(),
                    optimizer=optimizer.state_dict(),
                    lowest=lowest,
                    average=average.state_dict() if average else {},
                ),
            )
    if average:
        model.load_state_dict(average.module.state_dict())
    if validate and plan.validate_every:
        best = process.from_leader(lambda: torch.load(out / "best.pt", weights_only=True, map_location="cpu"))
        model.load_state_dict(best)
    if process.leads:
        save(out / "model.pt", model.state_dict())
    if log:
        log.close()


def _averaged(model: nn.Module, plan: Plan) -> AveragedModel | None:
    if not plan.averaging:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.averaging))  # type: ignore[no-untyped-call]


def _set_rates(optimizer: torch.optim.Optimizer, base: Sequence[float], factor: float) -> None:
    for group, lr in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = lr * factor


def _gradients(
    plan: Plan, trained: nn.Module, parts: Iterator[Any], step: int, *, process: Process, log: TrainingLog | None
) -> Losses:
    """Add the gradients of a step's parts to the weights; return the mean losses."""
    totals: Losses = {}
    for part in range(plan.accumulate):
        with log.waiting() if log else contextlib.nullcontext():
            batch = _to_device(next(parts), process.device)
        # Torchvision's samplers of anchors draw from torch's generator: seeded by position, a resumed run draws alike.
        torch.manual_seed(_seed_at(plan.seed, step, part, process.rank))
        last = part == plan.accumulate - 1
        sync = trained.no_sync if isinstance(trained, DistributedDataParallel) and not last else contextlib.nullcontext
        with sync():
            with torch.autocast(
                process.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16", cache_enabled=True
            ):
                losses: Losses = trained(*batch)
            total = torch.stack(list(losses.values())).sum()
            _check_finite(total, losses, step)
            (total / plan.accumulate).backward()  # type: ignore[no-untyped-call]
        for name, loss in losses.items():
            totals[name] = totals.get(name, torch.zeros(())) + loss.detach().cpu() / plan.accumulate
    return totals


def _indices(plan: Plan, process: Process) -> Iterator[list[int]]:
    """Numbers of the samples of each part of each step that fall to this process."""
    share, rest = divmod(plan.batch, process.world * plan.accumulate)
    if rest or not share:
        raise ValueError(
            f"a batch of {plan.batch} does not divide over {process.world} processes x {plan.accumulate} parts"
        )
    return (
        list(range(start, start + share))
        for step in range(plan.steps)
        for part in range(plan.accumulate)
        for start in [step * plan.batch + (part * process.world + process.rank) * share]
    )


def _loader(
    samples: Dataset[Any],
    batches: list[list[int]],
    collate: Callable[[Sequence[Any]], tuple[Any, ...]],
    process: Process,
) -> DataLoader[Any]:
    workers = max(1, min(8, (os.cpu_count() or 2) // 2 // process.here)) if len(batches) > FEW_BATCHES else 0
    return DataLoader(
        samples,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=workers,
        prefetch_factor=6 if workers else None,
        pin_memory=process.device.type == "cuda",
    )


def _to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        moved = batch.to(device, non_blocking=True)
        return moved.float().contiguous(memory_format=torch.channels_last) if moved.ndim == 4 else moved
    if isinstance(batch, dict):
        return {k: _to_device(v, device) for k, v in batch.items()}
    return [_to_device(v, device) for v in batch]


def _seed_at(*place: int) -> int:
    return int(np.random.SeedSequence(list(place)).generate_state(1, np.uint32)[0])


def _check_finite(total: Tensor, losses: Losses, step: int) -> None:
    if not torch.isfinite(total):
        named = {name: float(value.detach()) for name, value in losses.items()}
        raise FloatingPointError(f"loss at step {step} is not finite: {named}; lower the learning rate or see the data")


def _validated(model: nn.Module, validate: Callable[[], float]) -> float:
    """The validation figure of the present weights."""
    model.eval()
    with torch.inference_mode():
        value = validate()
    model.train()
    return value


def _wait_for_all(process: Process) -> None:
    """Wait until every process is here: the leader alone validates and writes, the others read what it wrote."""
    if process.world > 1:
        distributed.barrier()


def _checkpoint(out: Path) -> Checkpoint | None:
    """What a run in `out` goes on from; the folder is made where there is none."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "last.pt"
    if not path.is_file():
        return None
    state: Checkpoint = torch.load(path, weights_only=True, map_location="cpu")
    return state


def _resume(
    state: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, average: AveragedModel | None
) -> tuple[int, float]:
    """The step to go on at, and the lowest figure of a validation so far."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if average:
        average.load_state_dict(state["average"])
    return state["step"], state["lowest"]


def save(path: Path, state: object) -> None:
    """Write with torch, whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("wb") as handle:
        torch.save(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(part, path)
