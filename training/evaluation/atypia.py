"""The classifier of atypical figures, judged on crops of cases and sets that it never saw."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from torch import nn

from serving.core.probability import LogitAffine
from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset, Picture
from serving.evaluation.bootstrap import bootstrap_interval
from serving.scoring.reliability import reliability
from training.data.candidates import LABELS, LabelledPlaces
from training.data.figure_kinds import read_figure_kinds
from training.data.verifier_windows import Draw, VerifierWindows
from training.evaluation.calibrations import CALIBRATIONS
from training.evaluation.summary import Measured, Part
from training.export.graphs import VerifierGraph
from training.models.verifier import Verifier
from training.recipes.atypia import CLASSES, AtypiaRecipe
from training.recipes.record import read_record
from training.recipes.runs import load_run

_AT_ONCE = 64
_THRESHOLDS = np.linspace(0.02, 0.98, 97)


class AtypiaFigures(Part):
    """What was measured on the crops of one store, or of all."""

    source: str
    crops: int
    atypical: int
    balanced_accuracy: Measured
    sensitivity: Measured
    specificity: Measured
    auc: Measured = Field(description="Area under the ROC curve.")
    calibration_error: Measured = Field(description="Expected calibration error, ten bins of equal count.")


class AtypiaJudgement(Part):
    """Crops judged by weights that saw none of their case or set; threshold and calibration of the other folds."""

    schema_version: str = "1.0"
    folds: list[str]
    thresholds: list[float] = Field(description="Of each fold, on the calibrated probability.")
    sources: list[AtypiaFigures]
    slope: float = Field(description="Of the logit, fitted on all folds: for weights that learnt from all.")
    intercept: float
    threshold: float = Field(description="Of the calibrated probability, chosen on all folds.")
    how: str
    research_use: str = RESEARCH_USE


@dataclass(frozen=True, slots=True)
class JudgedCrops:
    """Crops with what a fold's weights say of them, N in all.

    logit : float64, (N,), before any calibration. atypical : bool, (N,), the verdict of the experts
    unit : str, (N,), what the bootstrap draws: the case, or the crop where a set states no cases
    """

    logit: NDArray[np.float64]
    atypical: NDArray[np.bool_]
    store: NDArray[np.str_]
    unit: NDArray[np.str_]
    fold: NDArray[np.intp]


def judge_atypia(
    runs: Sequence[Path], dataset: Dataset, *, draws: int = 2000, say: Callable[[str], None] = print
) -> AtypiaJudgement:
    """Judge runs of an atypia recipe, each on the patients of the data that it never saw.

    Raises
    ------
    ValueError
        If a run is of another kind of recipe or does not state whom it saw, a crop is left out by no run or by two, or there
        are fewer than two folds.
    """
    if len(runs) < 2:
        raise ValueError("give at least two runs: threshold and calibration of one fold come from the others")
    crops = judge_crops(runs, dataset, say)
    platt = CALIBRATIONS["platt"]
    probability = np.empty(len(crops.logit))
    thresholds = np.empty(len(runs))
    for fold in range(len(runs)):
        mine = crops.fold == fold
        fitted = platt(expit(crops.logit[~mine]), crops.atypical[~mine])
        thresholds[fold] = choose_threshold(fitted.apply(expit(crops.logit[~mine])), crops.atypical[~mine])
        probability[mine] = fitted.apply(expit(crops.logit[mine]))
    called = probability >= thresholds[crops.fold]
    whole = platt(expit(crops.logit), crops.atypical)
    if not isinstance(whole, LogitAffine):
        raise TypeError("Platt's calibration is a line over the logit")
    sources = ["all", *sorted(set(crops.store.tolist()))]
    return AtypiaJudgement(
        folds=[run.name for run in runs],
        thresholds=thresholds.tolist(),
        sources=[_figures(s, crops, probability, called, draws) for s in sources],
        slope=whole.slope,
        intercept=whole.intercept,
        threshold=choose_threshold(whole.apply(expit(crops.logit)), crops.atypical),
        how="each crop by weights that saw neither its case nor, where a set states no cases, its set; calibration (Platt) and "
        "threshold (highest balanced accuracy) of the other folds; intervals draw cases, and crops of sets without cases",
    )


def judge_crops(runs: Sequence[Path], dataset: Dataset, say: Callable[[str], None] = print) -> JudgedCrops:
    """What each run says of the crops that it never saw, mean logit of eight views; errors as `judge_atypia`."""
    parts: list[JudgedCrops] = []
    judged: set[str] = set()
    for fold, run in enumerate(runs):
        recipe, model = load_run(run)
        record = read_record(run)
        if not isinstance(recipe, AtypiaRecipe) or not isinstance(model, Verifier):
            raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give runs of an atypia recipe")
        if record is None:
            raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
        pictures = [p for p in dataset if p.patient not in record.seen and "kind" in p.attributes]
        if twice := judged & {p.patient for p in pictures}:
            raise ValueError(f"patient {sorted(twice)[0]} is left out by two runs: each is judged by one")
        judged |= {p.patient for p in pictures}
        places = read_figure_kinds(pictures, Path(dataset.root))
        windows = VerifierWindows(places, [Draw(label=LABELS[places.label[0]], count=1)], CLASSES, recipe.geometry)
        logit = _predict(VerifierGraph([model]), windows)
        parts.append(_crops(places, pictures, logit, fold))
        say(f"{run}: {len(places)} crops of {len({p.patient for p in pictures})} patients")
    missing = {p.patient for p in dataset if "kind" in p.attributes} - judged
    if missing:
        raise ValueError(f"patient {sorted(missing)[0]} was seen by every run: leave it out of one (--test-patients)")
    return JudgedCrops(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("logit", "atypical", "store", "unit", "fold")
        )
    )


def choose_threshold(probabilities: NDArray[np.float64], atypical: NDArray[np.bool_]) -> float:
    """The threshold of highest balanced accuracy; of several the middle one. float64 and bool, (N,)."""
    found = np.asarray([balanced_accuracy(probabilities >= t, atypical) for t in _THRESHOLDS])
    best = np.flatnonzero(found >= found.max() - 1e-9)
    return float(_THRESHOLDS[best[len(best) // 2]])


def balanced_accuracy(called: NDArray[np.bool_], atypical: NDArray[np.bool_]) -> float:
    """Mean of sensitivity and specificity; NaN where one of the two kinds is absent."""
    return (_share(called[atypical]) + _share(~called[~atypical])) / 2


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _crops(places: LabelledPlaces, pictures: Iterable[Picture], logit: NDArray[np.float64], fold: int) -> JudgedCrops:
    cases = {p.slide: p.patient for p in pictures}
    # A set without cases is one slide: its crops are drawn one by one.
    alone = [f"{store}/{i}" for i, store in enumerate(places.store.tolist())]
    unit = [
        crop if slide == store else cases[slide]
        for crop, slide, store in zip(alone, places.slide.tolist(), places.store.tolist(), strict=True)
    ]
    return JudgedCrops(
        logit,
        places.label == LABELS.index("atypical figure"),
        places.store,
        np.asarray(unit),
        np.full(len(places), fold, np.intp),
    )


@torch.inference_mode()
def _predict(graph: nn.Module, windows: VerifierWindows) -> NDArray[np.float64]:
    """Mean logit of eight views of all places, float64, (N,)."""
    graph.to(memory_format=torch.channels_last)
    found = []
    for start in range(0, len(windows.candidates), _AT_ONCE):
        chosen = np.arange(start, min(start + _AT_ONCE, len(windows.candidates)))
        pixels = windows.plain_windows(chosen).round().to(torch.uint8).permute(0, 2, 3, 1)
        found.append(graph(pixels.contiguous()).double().logit())
    return np.asarray(torch.cat(found).numpy(), np.float64)


def _figures(
    source: str, crops: JudgedCrops, probability: NDArray[np.float64], called: NDArray[np.bool_], draws: int
) -> AtypiaFigures:
    inside = np.ones(len(crops.store), np.bool_) if source == "all" else crops.store == source
    p, yes, said = probability[inside], crops.atypical[inside], called[inside]
    _, unit = np.unique(crops.unit[inside], return_inverse=True)
    members = [np.flatnonzero(unit == u) for u in range(unit.max() + 1)]

    def measured(of: Callable[[NDArray[np.intp]], float]) -> Measured:
        def statistic(chosen: Sequence[NDArray[np.intp]]) -> float:
            return of(np.concatenate(chosen))

        found = bootstrap_interval(members, statistic, unit="patients", draws=draws)
        return Measured.model_validate(found, from_attributes=True)

    def auc(i: NDArray[np.intp]) -> float:
        return float(roc_auc_score(yes[i], p[i])) if 0 < yes[i].sum() < len(i) else float("nan")

    return AtypiaFigures(
        source=source,
        crops=int(inside.sum()),
        atypical=int(yes.sum()),
        balanced_accuracy=measured(lambda i: balanced_accuracy(said[i], yes[i])),
        sensitivity=measured(lambda i: _share(said[i][yes[i]])),
        specificity=measured(lambda i: _share(~said[i][~yes[i]])),
        auc=measured(auc),
        calibration_error=measured(lambda i: reliability(p[i], yes[i]).expected_calibration_error),
    )
