"""What a cascade loses and saves where triage says where it looks, on patients that the triage net never saw."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.core.modelcard import ModelCard
from serving.core.report_parts import CascadeMode
from serving.datasets.store import Dataset, Picture
from serving.evaluation.bootstrap import bootstrap_interval
from serving.evaluation.metrics import Rates, rates
from serving.scoring.detector import Detector, counting_threshold, list_cards
from serving.scoring.loading import load_cascade
from training.evaluation.cascade_figures import hit_figures
from training.evaluation.found_figures import FoundFigures, describe_share, take_every
from training.evaluation.mode_comparison import ModeComparison, ModeFigures
from training.evaluation.served_analysis import analyse_picture, pair_with_truth
from training.evaluation.summary import Measured
from training.evaluation.triage import TriageJudgement
from training.export.triage_release import release_triage
from training.recipes.record import read_record


@dataclass(frozen=True, slots=True)
class ModeOutcome:
    """What one mode found in a picture, counted once: intervals draw pictures thousands of times.

    hits : indices of the labelled figures that count. seconds : of the processor
    """

    rates: Rates
    hits: set[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class ComparedPicture:
    """What both modes found in a picture."""

    source: str
    patient: str
    exact: ModeOutcome
    fast: ModeOutcome


def compare_modes(
    runs: Sequence[Path],
    judgement: TriageJudgement,
    stores: Sequence[Dataset],
    *,
    folders: Mapping[str, Path],
    provider: str,
    every: int = 1,
    found: FoundFigures | None = None,
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
    found
        What the exact mode found in these pictures, so that they are scored fast alone.

    Raises
    ------
    ValueError
        If the judgement is of other runs, none of the pictures is of a patient that a run never saw, or `found` is of other models,
        another provider or other pictures.
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
            if found is not None:
                _check_found(found, cards, provider)
            for store, picture in _unseen(run, stores, every):
                compared.append(_compare(detector, store, picture, threshold, found))
                say(f"{picture.id}: {compared[-1].exact.seconds:.1f} and {compared[-1].fast.seconds:.1f} processor s")
    if not compared:
        raise ValueError("no labelled picture is of a patient that a run never saw")
    sources = ["all", *sorted({c.source for c in compared})]
    return ModeComparison(
        models=models,
        sources=[_figures(s, [c for c in compared if s in ("all", c.source)], draws) for s in sources],
        how=f"each picture by the triage net of the fold that never saw its patient, at the threshold of the other folds; {provider}; "
        f"{describe_share(every)}; detections of probability {threshold:g} or more; intervals draw patients",
    )


def _unseen(run: Path, stores: Sequence[Dataset], every: int) -> list[tuple[Dataset, Picture]]:
    record = read_record(run)
    seen = frozenset() if record is None else record.seen
    return [(store, picture) for store in stores for picture in take_every(store, every, seen)]


def _check_found(found: FoundFigures, cards: Sequence[ModelCard], provider: str) -> None:
    models = [f"{card.name} {card.version}" for card in cards]
    if (found.models, found.provider) != (models, provider):
        raise ValueError(
            f"the figures are those of {', '.join(found.models)} with {found.provider}, not of {', '.join(models)} with {provider}"
        )


def _compare(
    detector: Detector, store: Dataset, picture: Picture, threshold: float, found: FoundFigures | None
) -> ComparedPicture:
    """Both modes on one picture; the exact one is not run again where it is known."""
    exact = _score(detector, store, picture, threshold, "exact") if found is None else _recall(found, store, picture)
    fast = _score(detector, store, picture, threshold, "fast")
    return ComparedPicture(store.name, picture.patient, exact, fast)


def _score(detector: Detector, store: Dataset, picture: Picture, threshold: float, mode: CascadeMode) -> ModeOutcome:
    began = time.process_time()
    analysis = analyse_picture(detector, picture, Path(store.root), cascade=mode)
    seconds = time.process_time() - began
    detections = pair_with_truth(analysis.report, picture.boxes(), group=picture.slide)
    return ModeOutcome(rates([detections], threshold), hit_figures(detections, threshold), seconds)


def _recall(found: FoundFigures, store: Dataset, picture: Picture) -> ModeOutcome:
    """As `_score`, of what is known."""
    known = found.find(store, picture)
    if known is None:
        raise ValueError(
            f"picture {picture.id} of {store.name} is not among those of find-figures: give the same --every"
        )
    hits = len(known.found)
    counts = Rates(hits, known.false_positives, known.figures - hits)
    return ModeOutcome(counts, set(known.found), known.processor_s)


def _figures(source: str, compared: Sequence[ComparedPicture], draws: int) -> ModeFigures:
    patients = [[c for c in compared if c.patient == name] for name in sorted({c.patient for c in compared})]

    def measure(statistic: Callable[[Sequence[ComparedPicture]], float]) -> Measured:
        found = bootstrap_interval(
            patients, lambda drawn: statistic([c for patient in drawn for c in patient]), unit="patients", draws=draws
        )
        return Measured.model_validate(found, from_attributes=True)

    exact, fast = _sum([c.exact for c in compared]), _sum([c.fast for c in compared])
    return ModeFigures(
        source=source,
        pictures=len(compared),
        figures=exact.true_positives + exact.false_negatives,
        found_exact=exact.true_positives,
        kept=measure(_share_kept),
        f1_exact=exact.f1,
        f1_fast=fast.f1,
        difference=measure(lambda some: _sum([c.fast for c in some]).f1 - _sum([c.exact for c in some]).f1),
        processor_s_exact=round(sum(c.exact.seconds for c in compared), 2),
        processor_s_fast=round(sum(c.fast.seconds for c in compared), 2),
    )


def _sum(outcomes: Sequence[ModeOutcome]) -> Rates:
    """Counts over pictures."""
    return Rates(
        sum(o.rates.true_positives for o in outcomes),
        sum(o.rates.false_positives for o in outcomes),
        sum(o.rates.false_negatives for o in outcomes),
    )


def _share_kept(compared: Sequence[ComparedPicture]) -> float:
    """Of the labelled figures that the exact mode finds, the share that the fast one finds too."""
    exact = sum(len(c.exact.hits) for c in compared)
    return sum(len(c.exact.hits & c.fast.hits) for c in compared) / exact if exact else float("nan")
