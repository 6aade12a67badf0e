"""The paper's grid on a scale's data: trainings, then the report, gone on with where it stopped."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.cli.arguments import Initial
from training.data.samples import EpochSamples
from training.data.sampling import training_events
from training.data.splits import Split, split_by_patient
from training.data.store import Dataset
from training.data.sub_tiles import SubTiles, sub_tiles_of
from training.engine.distributed import Process
from training.evaluation.detection_ap import coco_ap
from training.evaluation.predict import beside_truth, predict
from training.models.sub_tile_detector import SubTileDetector
from training.paper.cells import Places, opened
from training.paper.grid import Job, jobs
from training.paper.outcome import Outcome, read_outcome, write_outcome
from training.paper.report import Judged, write_report
from training.paper.scales import SCALES, prepared
from training.paper.verdicts import Verdict
from training.recipes.train import train

ONE_BY_ONE = Places()


@dataclass(frozen=True, slots=True)
class Study:
    """What every training of the grid shares."""

    scale: str
    out: Path
    seed: int


def reproduce(
    scale_name: str,
    out: Path,
    *,
    initial: Initial | None = None,
    places: Places = ONE_BY_ONE,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> list[Verdict]:
    """Run the grid and write `out`/report.md with all tables, figures and verdicts.

    A finished training is kept, a broken one goes on from its checkpoint, whatever stopped it.

    initial : weights to start from, in place of the scale's
    places : where trainings run, dealt out over the GPUs where there are any; machines of a cluster must share `out`

    Raises
    ------
    ValueError
        If the scale is unknown.
    CohortError
        If the cluster cannot be used.
    """
    if scale_name not in SCALES:
        raise ValueError(f"no scale {scale_name}; there are {', '.join(SCALES)}")
    scale, study = SCALES[scale_name], Study(scale_name, out.resolve(), seed)
    dataset = prepared(scale, study.out / "data")
    source = initial.source if initial else scale.initial(study.out / "data")
    grid = jobs(scale.recipes(source), scale.sizes)
    say(f"{len(grid)} trainings; {scale.about}")
    first = [job for job in grid if job.start_from is None]
    second = [job for job in grid if job.start_from is not None]
    done, started = count(1), time.monotonic()
    with opened(places) as run_all:
        for wave in (first, second):
            for name, seconds in run_all(partial(_run, study), wave):
                say(f"{next(done)}/{len(grid)}  {name}  {seconds:.1f} s  ({(time.monotonic() - started) / 60:.1f} min)")
    split = _split(dataset, seed)
    test = sub_tiles_of(split.test)
    outcomes = {job.name: _outcome(study, job) for job in grid}
    judged = Judged(outcomes, test, judged_sub_tiles(test, scale.test_negatives, seed))
    found = write_report(study.out, scale, dataset, split, judged)
    say(f"wrote {study.out / 'report.md'}")
    return found


def judged_sub_tiles(test: SubTiles, negatives: int | None, seed: int) -> NDArray[np.intp]:
    """Test sub-tiles that models are judged on: all that are not negative, and so many drawn from those that are."""
    pool = np.flatnonzero(test.negative)
    drawn = np.random.default_rng([seed, 7]).permutation(pool)[:negatives]
    return np.sort(np.concatenate([np.flatnonzero(~test.negative), drawn]))


def _run(study: Study, job: Job, device: torch.device) -> tuple[str, float]:
    """One training and its outcome, unless it is there already; its name and seconds."""
    folder = study.out / "jobs" / job.name
    if read_outcome(folder) is not None:
        return job.name, 0.0
    scale, dataset = SCALES[study.scale], prepared(SCALES[study.scale], study.out / "data")
    split, root = _split(dataset, study.seed), Path(dataset.root)
    table, validation, test = (sub_tiles_of(part) for part in (split.train, split.validation, split.test))
    started = time.monotonic()
    model = train(
        job.recipe,
        table,
        validation,
        root=root,
        out=folder,
        process=Process(0, 1, device),
        reg_run=study.out / "jobs" / job.start_from / "model.pt" if job.start_from else None,
        say=lambda _: None,
    )
    seconds = time.monotonic() - started
    chosen = judged_sub_tiles(test, scale.test_negatives, study.seed)
    found = predict(model, test, root, chosen)
    average = float("nan")
    if isinstance(model, SubTileDetector):
        average = coco_ap(beside_truth(found, test, chosen)).ap_50_95
    events = training_events(table, limit=job.recipe.events, seed=job.recipe.seed)
    seen = EpochSamples(table, root, events, job.recipe).length * job.recipe.epochs
    write_outcome(Outcome(job.name, found.scores, average, seconds, seen), folder)
    for name in ("last.pt", "best.pt", *(() if job.recipe.model == "Reg" else ("model.pt",))):
        (folder / name).unlink(missing_ok=True)
    return job.name, seconds


def _split(dataset: Dataset, seed: int) -> Split:
    tests = sorted({p.patient for p in dataset.pictures if p.patient.startswith("test")})
    return split_by_patient(dataset.pictures, validation=0.15, test=0.0, seed=seed, test_patients=tests)


def _outcome(study: Study, job: Job) -> Outcome:
    found = read_outcome(study.out / "jobs" / job.name)
    if found is None:
        raise FileNotFoundError(f"no outcome of {job.name} under {study.out}; the machines of a cluster must share it")
    return found
