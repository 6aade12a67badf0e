"""What a cascade loses and saves where triage says where it looks, on patients that the triage net never saw."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.report_parts import CascadeMode
from serving.datasets.store import Dataset, Picture
from serving.evaluation.bootstrap import bootstrap_interval
from serving.evaluation.metrics import Rates, rates
from serving.scoring.detector import Detector, counting_threshold, list_cards
from serving.scoring.loading import load_cascade
from training.evaluation.cascade_figures import hit_figures
from training.evaluation.mode_comparison import ModeComparison, ModeFigures
from training.evaluation.served_analysis import analyse_picture, pair_with_truth
from training.evaluation.summary import Measured
from training.evaluation.triage import TriageJudgement
from training.export.triage_release import release_triage
from training.recipes.record import read_record

_MODES: tuple[CascadeMode, CascadeMode] = ("exact", "fast")


@dataclass(frozen=True, slots=True)
class ComparedPicture:
    """What both modes found in a picture, the exact one first, counted once: intervals draw pictures thousands of times.

    hits : indices of the labelled figures that count. seconds : of the processor
    """

    source: str
    patient: str
    rates: tuple[Rates, Rates]
    hits: tuple[set[int], set[int]]
    seconds: tuple[float, float]


def compare_modes(
    runs: Sequence[Path],
    judgement: TriageJudgement,
    stores: Sequence[Dataset],
    *,
    folders: Mapping[str, Path],
    provider: str,
    every: int = 1,
    draws: int = 2000,
    say: Callable[[str], None] = print,
) -> ModeComparison:
    """Score pictures exactly and fast, by turns.

    Parameters
    ----------
    runs, judgement
        Runs of the triage recipe and what `judge_triage` made of them, in the same order.
    folders
        Version folders of the cascade's models, by name. It may have seen the pictures: what is compared is what triage costs it.
    every
        Of each patient's pictures in a store every n-th is scored.

    Raises
    ------
    ValueError
        If the judgement is of other runs, or none of the pictures is of a patient that a run never saw.
    ModelError
        If a model cannot be loaded.
    """
    if judgement.folds != [run.name for run in runs]:
        raise ValueError(f"the judgement is of {', '.join(judgement.folds)}: give those runs in that order")
    compared: list[ComparedPicture] = []
    threshold, models = 0.5, [""]
    with tempfile.TemporaryDirectory() as scratch:
        for fold, run in enumerate(runs):
            stated = judgement.model_copy(update={"threshold": judgement.thresholds[fold]})
            models_of_fold = Path(scratch) / run.name
            release_triage(run, stated, version="0.0.1", models=models_of_fold, say=lambda _: None)
            light = {"triage": models_of_fold / "triage" / "0.0.1"}
            detector = load_cascade({**folders, **light}, providers=[provider])
            cards = list_cards(detector)
            threshold, models = counting_threshold(cards), [f"{c.name} {c.version}" for c in cards]
            for store, picture in _unseen(run, stores, every):
                compared.append(_compare(detector, store, picture, threshold))
                say(f"{picture.id}: {compared[-1].seconds[0]:.1f} and {compared[-1].seconds[1]:.1f} processor s")
    if not compared:
        raise ValueError("no labelled picture is of a patient that a run never saw")
    sources = ["all", *sorted({c.source for c in compared})]
    return ModeComparison(
        models=models,
        sources=[_figures(s, [c for c in compared if s in ("all", c.source)], draws) for s in sources],
        how=f"each picture by the triage net of the fold that never saw its patient, at the threshold of the other folds; {provider}; "
        f"every picture of each patient and store by {every}; detections of probability {threshold:g} or more; intervals draw patients",
    )


def _unseen(run: Path, stores: Sequence[Dataset], every: int) -> list[tuple[Dataset, Picture]]:
    record = read_record(run)
    seen = frozenset() if record is None else record.seen
    chosen: list[tuple[Dataset, Picture]] = []
    for store in stores:
        unseen = [p for p in store if p.labelled and p.patient not in seen]
        for patient in sorted({p.patient for p in unseen}):
            chosen += [(store, p) for p in [p for p in unseen if p.patient == patient][::every]]
    return chosen


def _compare(detector: Detector, store: Dataset, picture: Picture, threshold: float) -> ComparedPicture:
    found, seconds = [], []
    for mode in _MODES:
        began = time.process_time()
        analysis = analyse_picture(detector, picture, Path(store.root), cascade=mode)
        seconds.append(time.process_time() - began)
        found.append(pair_with_truth(analysis.report, picture.boxes(), group=picture.slide))
    exact, fast = found
    return ComparedPicture(
        store.name,
        picture.patient,
        (rates([exact], threshold), rates([fast], threshold)),
        (hit_figures(exact, threshold), hit_figures(fast, threshold)),
        (seconds[0], seconds[1]),
    )


def _figures(source: str, compared: Sequence[ComparedPicture], draws: int) -> ModeFigures:
    patients = [[c for c in compared if c.patient == name] for name in sorted({c.patient for c in compared})]

    def measure(statistic: Callable[[Sequence[ComparedPicture]], float]) -> Measured:
        found = bootstrap_interval(
            patients, lambda drawn: statistic([c for patient in drawn for c in patient]), unit="patients", draws=draws
        )
        return Measured.model_validate(found, from_attributes=True)

    exact, fast = (_sum(compared, mode) for mode in (0, 1))
    return ModeFigures(
        source=source,
        pictures=len(compared),
        figures=exact.true_positives + exact.false_negatives,
        found_exact=exact.true_positives,
        kept=measure(_share_kept),
        f1_exact=exact.f1,
        f1_fast=fast.f1,
        difference=measure(lambda some: _sum(some, 1).f1 - _sum(some, 0).f1),
        processor_s_exact=round(sum(c.seconds[0] for c in compared), 2),
        processor_s_fast=round(sum(c.seconds[1] for c in compared), 2),
    )


def _sum(compared: Sequence[ComparedPicture], mode: int) -> Rates:
    """Counts of one mode over pictures: 0 for the exact one, 1 for the fast one."""
    parts = [c.rates[mode] for c in compared]
    return Rates(
        sum(r.true_positives for r in parts),
        sum(r.false_positives for r in parts),
        sum(r.false_negatives for r in parts),
    )


def _share_kept(compared: Sequence[ComparedPicture]) -> float:
    """Of the labelled figures that the exact mode finds, the share that the fast one finds too."""
    exact = sum(len(c.hits[0]) for c in compared)
    return sum(len(c.hits[0] & c.hits[1]) for c in compared) / exact if exact else float("nan")
