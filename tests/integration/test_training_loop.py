"""The training loop as processes: killed and gone on with, two at once, in parts; the weights are the same."""

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]  # has no types
    EventAccumulator,
)
from torch import Tensor, nn

from tests.integration.loop_program import STEPS, Net, collate, draw, train
from tests.limits import LONGEST_S
from training.engine.distributed import Process
from training.engine.task import FunctionSampler, Resampling, TrainingPlan, TrainingTask
from training.engine.trainer import fit

pytestmark = pytest.mark.integration
ALONE = Process(0, 1, torch.device("cpu"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums then do not depend on how many cores there are, and equal those of the processes that are started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _kill(out: Path, kind: str = "net") -> int | None:
    """`train` in a process of its own that ends itself at step 8; its exit code. A fork has torch imported already."""
    process = get_context("fork").Process(target=train, args=(out, kind, 1, 8))
    process.start()
    process.join(LONGEST_S)
    return process.exitcode


def _weights(out: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(out / "model.pt", weights_only=True)
    return state


@pytest.mark.parametrize("kind", ["net", "averaged", "detector"])
def test_a_run_killed_in_mid_epoch_goes_on_to_the_same_weights(tmp_path: Path, kind: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole, kind)
    assert _kill(broken, kind) == -9
    assert not (broken / "model.pt").exists()
    train(broken, kind)
    first, second = _weights(whole), _weights(broken)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with (broken / "log.csv").open() as handle:
        steps = [int(row["step"]) for row in csv.DictReader(handle)]
    assert steps == list(range(STEPS))  # steps 5 to 7 ran twice and are told once
    board = EventAccumulator(str(broken / "tensorboard")).Reload()
    for name in board.Tags()["scalars"]:
        assert [event.step for event in board.Scalars(name)] == list(range(STEPS))


def _run_on_two_machines(out: Path, elsewhere: Path) -> None:
    """Two launchers, each with a process and a folder of its own, as `torchrun` is given on two machines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launchers = []
    for rank, folder in enumerate((out, elsewhere)):
        where = [f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}"]
        launcher = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", *where]
        command = [sys.executable, *launcher, "-m", "tests.integration.loop_program", str(folder), "net", "1", "-1"]
        launchers.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    assert [launcher.wait(timeout=1000) for launcher in launchers] == [0, 0]


def test_two_processes_and_accumulated_parts_learn_what_one_process_learns(tmp_path: Path) -> None:
    train(tmp_path / "one")
    train(tmp_path / "parts", accumulate=2)
    assert _kill(tmp_path / "machines") == -9
    _run_on_two_machines(tmp_path / "machines", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()  # what goes on does so from the first machine's checkpoint
    one = _weights(tmp_path / "one")
    for name in ("parts", "machines"):
        other = _weights(tmp_path / name)
        assert all(torch.allclose(one[key], other[key], atol=1e-5) for key in one)
    assert not any(torch.equal(value, Net().state_dict()[key]) for key, value in one.items())


class _Diverges(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"fine": self.weight.sum(), "broken": self.weight.sum() * float("nan")}


def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(tmp_path: Path) -> None:
    model = _Diverges()
    with pytest.raises(FloatingPointError, match=r"step 0 is not finite: .*'broken': nan"):
        _fit(model, tmp_path)


def test_the_best_validation_is_the_result(tmp_path: Path) -> None:
    model, seen = Net(), []

    def validate() -> float:
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return [0.3, 0.1, 0.2][len(seen) - 1]

    _fit(model, tmp_path, validate_every=2, steps=6, validate=validate)
    assert len(seen) == 3
    assert all(torch.equal(value, seen[1][key]) for key, value in model.state_dict().items())
    assert all(torch.equal(value, seen[1][key]) for key, value in _weights(tmp_path).items())


def test_the_running_average_is_the_result(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, weights = Net(), []
    start = model.head.bias.detach().clone()

    def rate(step: int) -> float:
        weights.append(model.head.bias.detach().clone())
        return 1.0

    _fit(model, tmp_path, steps=3, rate=rate)
    first, second, third = *weights[1:], model.head.bias.detach().clone()
    assert not torch.equal(start, first)
    torch.manual_seed(0)
    _fit(Net(), tmp_path / "averaged", steps=3, averaging=0.5)
    expected = 0.25 * first + 0.25 * second + 0.5 * third
    torch.testing.assert_close(_weights(tmp_path / "averaged")["head.bias"], expected)


def test_a_run_does_not_both_validate_and_average(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either the average"):
        _fit(Net(), tmp_path, averaging=0.5, validate=lambda: 0.0)


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a batch of 4 does not divide over 1 processes x 3 parts"):
        _fit(Net(), tmp_path, accumulate=3)


def test_progress_tells_speed_waiting_and_time_left(tmp_path: Path) -> None:
    said: list[str] = []
    _fit(Net(), tmp_path, steps=20, say=said.append)
    assert "step 20/20" in said[-1]
    for word in ("windows/s", "waited for data", "min left"):
        assert word in said[-1]
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        torch.manual_seed(0)
        _fit(Net(), tmp_path / name, seed=seed)
    first, again, other = (_weights(tmp_path / name) for name in ("first", "again", "other"))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


class _Watching(Net):
    """Notes how it is fed."""

    def forward(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        self.channels_last = images.is_contiguous(memory_format=torch.channels_last)
        self.computed_in = self.body[0](images).dtype
        return super().forward(images, targets)


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_arithmetic_is_mixed_and_weights_are_float32(tmp_path: Path, precision: str, dtype: torch.dtype) -> None:
    model = _Watching()
    _fit(model, tmp_path, precision=precision)
    assert model.computed_in == dtype
    assert model.channels_last
    assert {value.dtype for value in _weights(tmp_path).values()} == {torch.float32}


def test_a_checkpoint_that_was_being_written_does_no_harm(tmp_path: Path) -> None:
    _fit(Net(), tmp_path, steps=4, checkpoint_every=2)
    (tmp_path / "last.part").write_bytes(b"half a checkp")
    (tmp_path / "model.pt").unlink()
    _fit(Net(), tmp_path, steps=4, checkpoint_every=2)
    assert set(_weights(tmp_path)) == set(Net().state_dict())


def _fit(  # type: ignore[no-untyped-def]
    model: nn.Module, out: Path, *, validate=None, say=print, rate=lambda step: 1.0, renewal=None, samples=None, **plan
) -> None:
    seed = int(str(plan.get("seed", 1)))
    task = TrainingTask(
        TrainingPlan(**{"seed": 1, "steps": 3, "batch": 4, "precision": "float32", **plan}),
        model,
        samples or FunctionSampler(draw, seed, collate),
        torch.optim.SGD(model.parameters(), lr=0.1),
        rate,
        validate,
        renewal,
    )
    fit(task, out=out, process=ALONE, say=say)


def test_samples_depend_on_seed_and_number_alone() -> None:
    first, again, other = (FunctionSampler(draw, seed, collate)[7][0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not np.array_equal(first.numpy(), other.numpy())


def test_validation_and_learning_rate_are_in_the_log(tmp_path: Path) -> None:
    _fit(Net(), tmp_path, steps=4, validate_every=2, validate=lambda: 0.25, rate=lambda step: 1 - step / 4)
    with (tmp_path / "log.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert [row["validation"] for row in rows] == ["", "0.25", "", "0.25"]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("learning_rate")] == [0, 1, 2, 3]
    assert [event.value for event in board.Scalars("validation")] == [0.25, 0.25]


class _Weighted:
    """A sampler that is told how bright to be, and notes it; what it is told is asked of the weights."""

    def __init__(self) -> None:
        self.level, self.told = 0, list[int]()

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        return torch.full((3, 64, 64), self.level, dtype=torch.uint8), self.level / 255

    def collate(self, samples: Any) -> tuple[Tensor, Tensor]:
        return collate(samples)

    def renewal(self) -> Resampling:
        def use(weights: Tensor) -> None:
            self.level = int(weights[0])
            self.told.append(self.level)

        return Resampling((0, 4), lambda model: torch.tensor([40.0 if not self.told else 200.0]), use)


def test_the_sampling_is_renewed_as_the_model_learns_and_again_when_a_run_goes_on(tmp_path: Path) -> None:
    whole = _Weighted()
    torch.manual_seed(0)
    _fit(Net(), tmp_path / "whole", steps=6, samples=whole, renewal=whole.renewal())
    assert whole.told == [40, 200]
    broken = _Weighted()
    torch.manual_seed(0)

    def rate(step: int) -> float:
        if step == 5:
            raise KeyboardInterrupt
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        _fit(Net(), tmp_path / "b", steps=6, samples=broken, renewal=broken.renewal(), rate=rate, checkpoint_every=5)
    again = _Weighted()
    torch.manual_seed(0)
    _fit(Net(), tmp_path / "b", steps=6, samples=again, renewal=again.renewal())
    assert again.told == [200]  # what it had asked of the weights of step 4 is on disk
    first, second = _weights(tmp_path / "whole"), _weights(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_average_that_rises_forgets_the_start(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, weights = Net(), []

    def rate(step: int) -> float:
        weights.append(model.head.bias.detach().clone())
        return 1.0

    _fit(model, tmp_path, steps=3, rate=rate)
    first, second, third = *weights[1:], model.head.bias.detach().clone()
    torch.manual_seed(0)
    _fit(Net(), tmp_path / "averaged", steps=3, averaging=0.99, averaging_warmup=True)
    expected = first
    for n, present in ((1, second), (2, third)):
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * present
    torch.testing.assert_close(_weights(tmp_path / "averaged")["head.bias"], expected)
