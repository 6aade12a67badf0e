"""The training loop."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from training.engine.distributed import Process
from training.engine.log import Checkpoint, TrainingLog, read_checkpoint, save
from training.engine.task import Sampler, TrainingPlan, TrainingTask

Losses = dict[str, Tensor]

FEW_BATCHES = 8
"""So few are made sooner than a process that would make them."""


def fit(task: TrainingTask, *, out: Path, process: Process, say: Callable[[str], None] = print) -> None:
    """Train the task's model in place, and leave checkpoint, final weights and logs in `out`.

    `last.pt` is the checkpoint, `model.pt` the result, `log.csv` and `tensorboard/` the losses, learning rates and
    validations of each step. A run that was stopped at any moment goes on from its checkpoint to the very weights that it
    would have reached. Of several processes the first alone needs `out`.

    Raises
    ------
    FloatingPointError
        If a loss is not finite; the message names the step and each loss.
    ValueError
        If the batch does not divide evenly over processes and parts, or a run validates and averages at once.
    """
    plan, model, optimizer = task.plan, task.model, task.optimizer
    if plan.averaging and task.validate:
        raise ValueError("the result is either the average of the weights or the ones that validate best")
    indices = list(_indices(plan, process))
    model.to(process.device).to(memory_format=torch.channels_last).train()
    average = _average_model(model, plan)
    state = process.from_leader(lambda: read_checkpoint(out))
    first, lowest = _resume(state, model, optimizer, average) if state else (0, float("inf"))
    base = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
    trained = DistributedDataParallel(model) if process.world > 1 else model
    log = TrainingLog(out, first=first, steps=plan.steps, batch=plan.batch, say=say) if process.leads else None
    for start, end in ((s, e) for s, e in _rounds(task) if e > first):
        _renew(task, start, average.module if average else model, out, process)
        begin = max(start, first)
        loader = _loader(task.samples, indices[begin * plan.accumulate : end * plan.accumulate], process)
        parts = iter(loader)
        for step in range(begin, end):
            _set_rates(optimizer, base, task.rate(step))
            optimizer.zero_grad()
            totals = _gradients(plan, trained, parts, step, process=process, log=log)
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
            optimizer.step()
            if average:
                average.update_parameters(model)
            done = step + 1
            value = _validation(task, done, lowest, out, process)
            lowest = lowest if value is None else min(value, lowest)
            if log:
                log.write(step, totals, rates=[group["lr"] for group in optimizer.param_groups], validation=value)
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
    _take_result(task, average, out, process)
    if log:
        log.close()


def _validation(task: TrainingTask, done: int, lowest: float, out: Path, process: Process) -> float | None:
    """The figure of the weights after so many steps, where one is asked for and this process leads; the best are kept."""
    plan = task.plan
    if not task.validate or not plan.validate_every or (done % plan.validate_every and done != plan.steps):
        return None
    value = None
    if process.leads:
        value = _validate(task.model, task.validate)
        if value < lowest or not (out / "best.pt").exists():
            save(out / "best.pt", task.model.state_dict())
    _wait_for_all(process)
    return value


def _take_result(task: TrainingTask, average: AveragedModel | None, out: Path, process: Process) -> None:
    """Give the model the weights that are the run's result, and write them."""
    if average:
        task.model.load_state_dict(average.module.state_dict())
    if task.validate and task.plan.validate_every:
        best = process.from_leader(lambda: torch.load(out / "best.pt", weights_only=True, map_location="cpu"))
        task.model.load_state_dict(best)
    if process.leads:
        save(out / "model.pt", task.model.state_dict())


def _rounds(task: TrainingTask) -> Iterator[tuple[int, int]]:
    """First step and end of each stretch of steps in which the sampling stays as it is."""
    steps = task.plan.steps
    edges = sorted({0, steps, *(s for s in (task.renewal.steps if task.renewal else ()) if 0 <= s < steps)})
    return itertools.pairwise(edges)


def _renew(task: TrainingTask, step: int, model: nn.Module, out: Path, process: Process) -> None:
    """Let the sampler use what the weights at a step say, where it asks for it.

    That is kept on disk, so that a run that goes on uses the same.
    """
    renewal = task.renewal
    if renewal is None or step not in renewal.steps:
        return
    path = out / f"renewed-{step}.pt"

    def weigh() -> Tensor:
        if path.is_file():
            stored: Tensor = torch.load(path, weights_only=True, map_location="cpu")
            return stored
        trained = model.training
        model.eval()
        with torch.inference_mode(), _autocast(task.plan, process):
            found = renewal.weigh(model).cpu().clone()
        model.train(trained)
        save(path, found)
        return found

    renewal.use(process.from_leader(weigh))


def _average_model(model: nn.Module, plan: TrainingPlan) -> AveragedModel | None:
    if not plan.averaging:
        return None
    if not plan.averaging_warmup:
        return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(plan.averaging))  # type: ignore[no-untyped-call]

    def rising(average: Tensor, present: Tensor, count: Tensor | int) -> Tensor:
        n = int(count)
        return average.lerp(present, 1 - min(plan.averaging, (1 + n) / (10 + n)))

    return AveragedModel(model, avg_fn=rising)


def _set_rates(optimizer: torch.optim.Optimizer, base: Sequence[float], factor: float) -> None:
    for group, lr in zip(optimizer.param_groups, base, strict=True):
        group["lr"] = lr * factor


def _gradients(
    plan: TrainingPlan,
    trained: nn.Module,
    parts: Iterator[Any],
    step: int,
    *,
    process: Process,
    log: TrainingLog | None,
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
            with _autocast(plan, process):
                losses: Losses = trained(*batch)
            total = torch.stack(list(losses.values())).sum()
            _check_finite(total, losses, step)
            (total / plan.accumulate).backward()  # type: ignore[no-untyped-call]
        for name, loss in losses.items():
            totals[name] = totals.get(name, torch.zeros(())) + loss.detach().cpu() / plan.accumulate
    return totals


def _autocast(plan: TrainingPlan, process: Process) -> torch.autocast:
    return torch.autocast(process.device.type, torch.bfloat16, enabled=plan.precision == "bfloat16", cache_enabled=True)


def _indices(plan: TrainingPlan, process: Process) -> Iterator[list[int]]:
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


def _loader(samples: Sampler, batches: list[list[int]], process: Process) -> DataLoader[Any]:
    workers = max(1, min(8, (os.cpu_count() or 2) // 2 // process.here)) if len(batches) > FEW_BATCHES else 0
    return DataLoader(
        samples,  # type: ignore[arg-type]  # with a batch sampler, indexing is all that is asked of it
        batch_sampler=batches,
        collate_fn=samples.collate,
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


def _validate(model: nn.Module, validate: Callable[[], float]) -> float:
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


def _resume(
    state: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, average: AveragedModel | None
) -> tuple[int, float]:
    """The step to go on at, and the lowest figure of a validation so far."""
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if average:
        average.load_state_dict(state["average"])
    return state["step"], state["lowest"]
