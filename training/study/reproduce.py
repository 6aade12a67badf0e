"""The paper's grid on a scale's data: trainings, tables, figures and verdicts, gone on with where it stopped."""

import csv
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from serving.wsi.modelcard import RESEARCH_USE
from training.datasets.store import Dataset
from training.evaluation.detection_ap import coco_ap
from training.processes import Process
from training.study.figures import draw_figures
from training.study.grid import Job, jobs
from training.study.models import SubTileDetector
from training.study.outcome import Outcome, read_outcome, write_outcome
from training.study.predict import beside_truth, predict
from training.study.samples import EpochSamples
from training.study.sampling import training_events
from training.study.scales import SCALES, Scale, prepared
from training.study.splits import Split, split_by_patient
from training.study.sub_tiles import PositiveRule, positives, sub_tiles_of
from training.study.tables import tables
from training.study.train import train
from training.study.verdicts import Verdict, verdicts
from training.table import Table

RULES: tuple[PositiveRule, ...] = ("centre", "any")


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
    initialisation: str,
    workers: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> list[Verdict]:
    """Run the grid and write `out`/report.md with all tables, figures and verdicts.

    A finished training is kept, a broken one goes on from its checkpoint, whatever stopped it.

    initialisation : see `models.initialise`; workers : trainings at once, dealt out over the GPUs where there are any

    Raises
    ------
    ValueError
        If the scale is unknown.
    """
    if scale_name not in SCALES:
        raise ValueError(f"no scale {scale_name}; there are {', '.join(SCALES)}")
    scale, study = SCALES[scale_name], Study(scale_name, out, seed)
    dataset = prepared(scale, out / "data")
    grid = jobs(scale.recipes(initialisation), scale.sizes)
    say(f"{len(grid)} trainings; {scale.about}")
    first = [job for job in grid if job.start_from is None]
    second = [job for job in grid if job.start_from is not None]
    done, started = count(1), time.monotonic()
    for wave in (first, second):
        for name, seconds in _run_all(study, wave, workers):
            say(f"{next(done)}/{len(grid)}  {name}  {seconds:.1f} s  ({(time.monotonic() - started) / 60:.1f} min)")
    return _write_report(study, scale, dataset, grid, say)


def _run_all(study: Study, wave: Sequence[Job], workers: int) -> Iterable[tuple[str, float]]:
    if workers == 1:
        yield from (_run(study, job, 0) for job in wave)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(_run, study, job, number % workers) for number, job in enumerate(wave)]
        for future in as_completed(running):
            yield future.result()


def _run(study: Study, job: Job, lane: int) -> tuple[str, float]:
    """One training and its outcome, unless it is there already; its name and seconds."""
    folder = study.out / "jobs" / job.name
    if read_outcome(folder) is not None:
        return job.name, 0.0
    device = (
        torch.device("cuda", lane % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")
    )
    dataset = prepared(SCALES[study.scale], study.out / "data")
    split, root = _split(dataset, study.seed), Path(dataset.root)
    table, validation, test = (sub_tiles_of(part) for part in (split.train, split.validation, split.test))
    source = study.out / "jobs" / job.start_from / "model.pt" if job.start_from else None
    started = time.monotonic()
    model = train(
        job.recipe,
        table,
        validation,
        root=root,
        out=folder,
        process=Process(0, 1, device),
        reg_run=source,
        say=lambda _: None,
    )
    seconds = time.monotonic() - started
    found = predict(model, test, root, np.arange(len(test)))
    average = float("nan")
    if isinstance(model, SubTileDetector):
        average = coco_ap(beside_truth(found, test, root, np.arange(len(test)))).ap_50_95
    events = training_events(table, limit=job.recipe.events, seed=job.recipe.seed)
    seen = EpochSamples(table, root, events, job.recipe).length * job.recipe.epochs
    write_outcome(Outcome(job.name, found.scores, average, seconds, seen), folder)
    for name in ("last.pt", "best.pt", *(() if job.recipe.model == "Reg" else ("model.pt",))):
        (folder / name).unlink(missing_ok=True)
    return job.name, seconds


def _split(dataset: Dataset, seed: int) -> Split:
    tests = sorted({p.patient for p in dataset.pictures if p.patient.startswith("test")})
    return split_by_patient(dataset.pictures, validation=0.15, test=0.0, seed=seed, test_patients=tests)


def _write_report(
    study: Study, scale: Scale, dataset: Dataset, grid: Sequence[Job], say: Callable[[str], None]
) -> list[Verdict]:
    outcomes = {job.name: _outcome(study, job) for job in grid}
    split = _split(dataset, study.seed)
    test = sub_tiles_of(split.test)
    parts = [_head(scale, dataset), _summary(split).markdown()]
    judged: list[Verdict] = []
    for rule in RULES:
        positive = positives(test, rule)
        parts.append(f"## A sub-tile is mitotic by the rule `{rule}`: {positive.sum():,} of {len(positive):,}\n")
        for table in tables(outcomes, positive, scale.sizes):
            parts.append(table.markdown())
            _write_csv(study.out / f"table-{table.number.strip('()')}-{rule}.csv", table)
        found = verdicts(outcomes, positive, test.picture, scale.sizes)
        parts.append(_verdict_table(found).markdown())
        judged = judged or found
    figures = draw_figures(outcomes, positives(test, RULES[0]), scale.sizes, study.out)
    parts += [f"![{path.stem}]({path.name})\n" for path in figures]
    (study.out / "report.md").write_text("\n".join(parts))
    say(f"wrote {study.out / 'report.md'}")
    return judged


def _outcome(study: Study, job: Job) -> Outcome:
    found = read_outcome(study.out / "jobs" / job.name)
    if found is None:
        raise FileNotFoundError(f"no outcome of {job.name} under {study.out}")
    return found


def _head(scale: Scale, dataset: Dataset) -> str:
    return (
        f"# The study of Ji et al., scale `{scale.name}`\n\n{scale.about[0].upper()}{scale.about[1:]}.\n\n"
        f"Data: {dataset.name}. Cells are TPR/FPR of sub-tiles in per cent, the paper's in brackets: its labels were not "
        f"released, so compare trends, never figures. {RESEARCH_USE}\n"
    )


def _summary(split: Split) -> Table:
    """Table 2 for our data."""
    rows = []
    for name in ("train", "validation", "test"):
        pictures = getattr(split, name)
        table = sub_tiles_of(pictures)
        rows.append(
            (
                name,
                str(len({p.patient for p in pictures})),
                str(len(pictures)),
                f"{len(table.events):,}",
                f"{len(table):,}",
                f"{int((table.scores > 0).sum()):,}",
            )
        )
    header = ("part", "patients", "pictures", "events", "sub-tiles", "with some of an event")
    return Table("2", "labelled data", header, tuple(rows))


def _verdict_table(found: Sequence[Verdict]) -> Table:
    rows = tuple(
        (v.trend, v.measure, f"{v.difference:+.3f}", f"{v.interval[0]:+.3f} to {v.interval[1]:+.3f}", v.verdict)
        for v in found
    )
    return Table(
        "of trends", "the paper's, in our figures", ("trend", "measure", "ours", "95 % interval", "verdict"), rows
    )


def _write_csv(path: Path, table: Table) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(table.csv_rows())
