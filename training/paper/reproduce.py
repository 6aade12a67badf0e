"""The paper's grid on a scale's data: trainings, then the report, gone on with where it stopped."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from serving.datasets.store import Dataset
from training.data.sampling import Split, epoch, split_by_patient, training_events
from training.data.sub_tiles import SubTileTable, make_sub_tiles
from training.engine.distributed import Process
from training.evaluation.detection_ap import coco_ap
from training.evaluation.predict import beside_truth, predict
from training.models.sub_tile_detector import SubTileDetector
from training.models.sub_tile_net import SubTileNet
from training.paper.cells import TrainingWorkers, open_runner
from training.paper.grid import GridJob, Sizes, jobs
from training.paper.outcome import GridOutcome, read_outcome, write_outcome
from training.paper.report import JudgedOutcomes, write_report
from training.paper.scales import SCALES, prepare_data
from training.paper.verdicts import TrendVerdict
from training.recipes.reading import change_recipe
from training.recipes.registry import Start, TrainingData
from training.recipes.runs import begin, train
from training.recipes.sub_tiles import SubTileRecipe

ONE_BY_ONE = TrainingWorkers()


@dataclass(frozen=True, slots=True)
class Study:
    """What every training of the grid shares. seed : of the split by patient."""

    scale: str
    out: Path
    seed: int


@dataclass(frozen=True, slots=True)
class GridRun:
    """One training of the grid by one seed, whose folder is its own."""

    job: GridJob
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        return folder_name(self.job.name, self.seed)


def folder_name(job: str, seed: int) -> str:
    """The folder of a job by a seed; that of the first is the job's name."""
    return job if seed == 0 else f"{job}_seed-{seed}"


def reproduce(
    scale_name: str,
    out: Path,
    *,
    initial: str | None = None,
    places: TrainingWorkers = ONE_BY_ONE,
    seed: int = 0,
    seeds: int = 1,
    sizes: Sizes | None = None,
    say: Callable[[str], None] = print,
) -> list[TrendVerdict]:
    """Run the grid and write `out`/report.md with all tables, figures and verdicts.

    A finished training is kept, a broken one goes on from its checkpoint, whatever stopped it. Of each finished training the
    weights, and its scores on validation and test sub-tiles, stay in `out`/jobs.

    initial : weights to start from, in place of the scale's
    places : where trainings run, dealt out over the GPUs where there are any; machines of a cluster must share `out`
    seeds : how many times each training is run, each by a seed of its own
    sizes : numbers of events and negatives, in place of the scale's

    Raises
    ------
    ValueError
        If the scale is unknown, or the data hold less than a training of the grid asks for: before the first one starts.
    CohortError
        If the cluster cannot be used.
    """
    if scale_name not in SCALES:
        raise ValueError(f"no scale {scale_name}; there are {', '.join(SCALES)}")
    scale, study = SCALES[scale_name], Study(scale_name, out.resolve(), seed)
    sizes = sizes or scale.sizes
    dataset = prepare_data(scale, study.out / "data")
    split = _split(dataset, seed)
    test = make_sub_tiles(split.test)
    source = initial or scale.initial(study.out / "data")
    grid = jobs(scale.recipes(source), sizes)
    check_sizes(grid, split)
    say(f"{len(grid)} trainings{f' by {seeds} seeds' if seeds > 1 else ''}; {scale.about}")
    cells = [GridRun(job, number) for number in range(seeds) for job in grid]
    first = [cell for cell in cells if cell.job.start_from is None]
    second = [cell for cell in cells if cell.job.start_from is not None]
    done, started = count(1), time.monotonic()
    with open_runner(places) as run_all:
        for wave in (first, second):
            for name, seconds in run_all(partial(run_cell, study), wave):
                say(
                    f"{next(done)}/{len(cells)}  {name}  {seconds:.1f} s  ({(time.monotonic() - started) / 60:.1f} min)"
                )
    by_seed = [{job.name: _outcome(study, GridRun(job, number)) for job in grid} for number in range(seeds)]
    judged = JudgedOutcomes(by_seed, test, choose_test_sub_tiles(test, scale.test_negatives, seed))
    found = write_report(study.out, scale, sizes, split, judged=judged, dataset=dataset)
    say(f"wrote {study.out / 'report.md'}")
    return found


def check_sizes(grid: Sequence[GridJob], split: Split) -> None:
    """Refuse a grid that asks for more events or negatives than the training pictures hold; the message names every lack.

    Raises
    ------
    ValueError
        If it does, or if no event is there to validate on.
    """
    table, lacks = make_sub_tiles(split.train), []
    if split.validation and not len(make_sub_tiles(split.validation).boxes):
        lacks.append("the validation pictures hold no mitotic figure")
    for job in grid:
        try:
            events = training_events(table, limit=job.recipe.events, seed=job.recipe.seed)
            epoch(table, events, job.recipe.negatives, seed=0, number=0, strategy=job.recipe.strategy)
        except ValueError as error:
            lacks.append(f"{job.name}: {error}")
    if lacks:
        raise ValueError(
            f"{len(lacks)} of {len(grid)} trainings ask for more than the data hold; give other --sizes. "
            + "; ".join(lacks[:12])
        )


def choose_test_sub_tiles(test: SubTileTable, negatives: int | None, seed: int) -> NDArray[np.intp]:
    """Test sub-tiles that models are judged on: all that are not negative, and so many drawn from those that are."""
    pool = np.flatnonzero(test.negative)
    drawn = np.random.default_rng([seed, 7]).permutation(pool)[:negatives]
    return np.sort(np.concatenate([np.flatnonzero(~test.negative), drawn]))


def run_cell(study: Study, cell: GridRun, device: torch.device) -> tuple[str, float]:
    """One training and its outcome, unless it is there already; its name and seconds."""
    job, folder = cell.job, study.out / "jobs" / cell.name
    if read_outcome(folder) is not None:
        return cell.name, 0.0
    scale, dataset = SCALES[study.scale], prepare_data(SCALES[study.scale], study.out / "data")
    split, root = _split(dataset, study.seed), Path(dataset.root)
    recipe = cast(SubTileRecipe, change_recipe(job.recipe, {"seed": job.recipe.seed + cell.seed}))
    source = folder_name(job.start_from, cell.seed) if job.start_from else None
    start = Start(reg=study.out / "jobs" / source / "model.pt" if source else None)
    data = TrainingData(split.train, split.validation, root)
    started = time.monotonic()
    model, _ = begin(recipe, start)
    train(recipe, model, data, out=folder, process=Process(0, 1, device), say=lambda _: None)
    seconds = time.monotonic() - started
    trained = cast("SubTileNet | SubTileDetector", model)
    test, validation = make_sub_tiles(split.test), make_sub_tiles(split.validation)
    chosen = choose_test_sub_tiles(test, scale.test_negatives, study.seed)
    found = predict(trained, test, root, chosen)
    validated = predict(trained, validation, root, choose_test_sub_tiles(validation, scale.test_negatives, study.seed))
    average = coco_ap(beside_truth(found, test, chosen)).ap_50_95 if recipe.learns_boxes else float("nan")
    seen = recipe.samples(data).length * recipe.epochs
    write_outcome(GridOutcome(job.name, found.scores, average, seconds, seen, validated.scores), folder)
    for name in ("last.pt", "best.pt"):
        (folder / name).unlink(missing_ok=True)
    return cell.name, seconds


def _split(dataset: Dataset, seed: int) -> Split:
    tests = sorted({p.patient for p in dataset.pictures if p.patient.startswith("test")})
    return split_by_patient(dataset.pictures, validation=0.15, test=0.0, seed=seed, test_patients=tests)


def _outcome(study: Study, cell: GridRun) -> GridOutcome:
    found = read_outcome(study.out / "jobs" / cell.name)
    if found is None:
        raise FileNotFoundError(f"no outcome of {cell.name} under {study.out}; the machines of a cluster must share it")
    return found
