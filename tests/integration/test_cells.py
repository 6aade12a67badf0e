"""Trainings of the grid as tasks of a Ray cluster of this machine's own."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.broken_trainings import FAILED, KILLED, break_down
from training.paper.cells import TrainingRunner, TrainingWorkers, open_runner
from training.paper.grid import jobs
from training.paper.outcome import read_outcome
from training.paper.reproduce import GridRun, Study, run_cell
from training.paper.scales import SCALES, prepare_data
from training.recipes.reading import read_recipe

pytestmark = pytest.mark.integration

SCALE = SCALES["tiny"]
GRID = jobs(SCALE.recipes("none"), SCALE.sizes)


@pytest.fixture(scope="module")
def run_all() -> Iterator[TrainingRunner]:
    with open_runner(TrainingWorkers(2, "local")) as found:
        yield found


def test_a_training_whose_process_ends_is_started_again(run_all: TrainingRunner, tmp_path: Path) -> None:
    ((job, process),) = run_all(partial(break_down, tmp_path), [KILLED])
    assert job == KILLED
    assert process != os.getpid()
    assert (tmp_path / "was-here").exists()


def test_an_error_of_a_training_is_the_study_s(run_all: TrainingRunner, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to learn from"):
        list(run_all(partial(break_down, tmp_path), [FAILED]))


def test_a_training_on_a_cluster_is_that_of_this_process(run_all: TrainingRunner, tmp_path: Path) -> None:
    (job,) = (job for job in GRID if job.name == "Reg_2")
    prepare_data(SCALE, tmp_path / "data")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "data").symlink_to(tmp_path / "data")
    train = partial(run_cell, Study("tiny", tmp_path, 0))
    ((name, seconds),) = run_all(train, [GridRun(job)])
    assert name == job.name
    assert seconds > 0
    run_cell(Study("tiny", tmp_path / "alone", 0), GridRun(job), torch.device("cpu"))
    there, here = (read_outcome(root / "jobs" / job.name) for root in (tmp_path, tmp_path / "alone"))
    assert there is not None
    assert here is not None
    assert np.allclose(there.scores, here.scores, atol=1e-5)
    assert list(run_all(train, [GridRun(job)])) == [(job.name, 0.0)]


def test_a_second_seed_is_a_training_of_its_own(tmp_path: Path) -> None:
    (job,) = (job for job in GRID if job.name == "Reg_2")
    study = Study("tiny", tmp_path, 0)
    for cell in (GridRun(job), GridRun(job, 1)):
        run_cell(study, cell, torch.device("cpu"))
    first, second = (read_outcome(tmp_path / "jobs" / name) for name in ("Reg_2", "Reg_2_seed-1"))
    assert first is not None
    assert second is not None
    assert first.scores.shape == second.scores.shape
    assert not np.allclose(first.scores, second.scores)
    seeds = [read_recipe(tmp_path / "jobs" / name).seed for name in ("Reg_2", "Reg_2_seed-1")]
    assert seeds == [job.recipe.seed, job.recipe.seed + 1]
