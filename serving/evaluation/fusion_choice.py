"""Weights of an ensemble, chosen on labelled pictures, and what the choice gives on cases that took no part in it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.fusion import FusionMethod
from serving.core.options import ScoringOptions
from serving.datasets.store import Picture
from serving.evaluation.bootstrap import BootstrapInterval, bootstrap_interval
from serving.evaluation.measured_picture import MeasuredPicture, measure_picture, rank_measured
from serving.evaluation.metrics import Rates
from serving.evaluation.picture_results import PictureResult, choose_clock
from serving.evaluation.ranking import Ranking, average_precision, rank_scores
from serving.evaluation.threshold_choice import sum_rates
from serving.evaluation.threshold_rules import THRESHOLD_RULES
from serving.scoring.detector import SingleDetector
from serving.scoring.detector_run import DetectorRun, plan_members
from serving.scoring.fusion import FoundPlaces, find_places, pool
from serving.slides.slide import Slide
from serving.slides.squared import size_given, with_square_pixels

METHODS: tuple[FusionMethod, ...] = ("mean", "logit")
DRAWS = 1000
"""Of the bootstrap over cases."""
STEPS = {2: 10, 3: 6}
"""Parts that the weights of so many detectors are made of; no detector has none."""
LEAST_FLOOR, MOST_FLOOR = 0.001, 0.5


@dataclass(frozen=True, slots=True)
class FusablePicture:
    """What each detector found in a picture, with calibrated probabilities, down to its last candidate.

    found : by detector, level-0 px. places : of all of them. looked : bool, shape (N, M), whether each looked at a place
    seconds : of each detector, by `choose_clock`
    """

    picture: Picture
    mpp: float
    found: Mapping[str, Detections]
    places: FoundPlaces
    looked: NDArray[np.bool_]
    seconds: Mapping[str, float]
    tissue_mm2: float

    def measure(self, boxes: NDArray[np.float32], probabilities: NDArray[np.float32]) -> MeasuredPicture:
        """Hold detections against the labels."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        rows = zip(*centres.T.tolist(), probabilities.tolist(), strict=True) if len(boxes) else ()
        return measure_picture(self.picture, PictureResult(key="", mpp=self.mpp, counted=(), below=tuple(rows)))


@dataclass(frozen=True, slots=True)
class FusionChoice:
    """A way to fuse. weights, floors : by detector, in their order."""

    method: FusionMethod
    weights: tuple[float, ...]
    floors: tuple[float, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """A detector alone, or the ensemble, each case at what the other cases choose; None where there is one case alone."""

    name: str
    f1: BootstrapInterval
    average_precision: BootstrapInterval
    f1_gain: BootstrapInterval | None = None
    """Of the ensemble over it; None of the ensemble."""
    precision_gain: BootstrapInterval | None = None
    """The same in average precision."""


def find_with_each(
    picture: Picture, slide: Slide, detectors: Mapping[str, SingleDetector], distance_um: float
) -> FusablePicture:
    """Score a picture with each detector; raises `MitoserveError`."""
    options = ScoringOptions(mpp=picture.mpp, qc="off")
    if options.mpp is not None:
        slide = with_square_pixels(slide, size_given(slide, options.mpp))
    plans = plan_members(detectors, slide, options)
    found, seconds, runs = {}, {}, {}
    for name, detector in detectors.items():
        clock, cores = choose_clock(detector.provider)
        started = clock()
        runs[name] = DetectorRun(detector, slide, plans[name], options, measures_focus=False)
        found[name] = runs[name].find_candidates(runs[name].run(_pass, _pass))
        seconds[name] = (clock() - started) / cores
    plan = next(iter(plans.values()))
    places = find_places(found, distance_um / plan.frame.mpp)
    looked = np.stack([run.looked_at(places.centres) for run in runs.values()], 1)
    area = plan.frame.area_mm2(plan.tissue.area_px)
    return FusablePicture(picture, plan.frame.mpp, found, places, looked, seconds, area)


def choose_fusion(pictures: Sequence[FusablePicture], rule: str, methods: Sequence[FusionMethod]) -> FusionChoice:
    """The way to fuse that ranks these pictures best: the highest average precision, and of equals the most even weights.

    Floors are the shares of figures among places that others found and a detector did not. The threshold is chosen by the rule of
    that name.
    """
    count = pictures[0].looked.shape[1]
    floors = find_floors(pictures)
    ways = [(method, weights) for weights in list_weights(count) for method in methods]
    best = max(ways, key=lambda way: average_precision(rank_fused(pictures, way[0], way[1], floors)))
    threshold = THRESHOLD_RULES[rule](rank_fused(pictures, best[0], best[1], floors))
    return FusionChoice(*best, floors, float(threshold))


def judge_fusion(pictures: Sequence[FusablePicture], rule: str, methods: Sequence[FusionMethod]) -> list[JudgedEntry]:
    """Each detector alone and the ensemble: every case at the weights, floors and threshold that the other cases choose.

    Empty for a single case: nothing is left to choose on.
    """
    cases = sorted({one.picture.patient for one in pictures})
    if len(cases) < 2:
        return []
    names = list(pictures[0].found)
    alone = {name: {case: _measure_alone(_select_case(pictures, case), name) for case in cases} for name in names}
    judged = {name: [_judge_alone(own, case, rule) for case in cases] for name, own in alone.items()}
    fused: list[_CaseResult] = []
    for case in cases:
        chosen = choose_fusion([one for one in pictures if one.picture.patient != case], rule, methods)
        fused.append(_judge(_measure_fused(_select_case(pictures, case), chosen), chosen.threshold))
    whole = JudgedEntry("ensemble", _interval(fused, _f1), _interval(fused, _precision))
    entries = []
    for name, results in judged.items():
        pairs = list(zip(fused, results, strict=True))
        gains = [bootstrap_interval(pairs, _gain(of), unit="patients", draws=DRAWS) for of in (_f1, _precision)]
        entries.append(JudgedEntry(name, _interval(results, _f1), _interval(results, _precision), *gains))
    return [*entries, whole]


def find_floors(pictures: Sequence[FusablePicture]) -> tuple[float, ...]:
    """What the silence of each detector is worth: the share of figures among the places that only others found."""
    found: list[float] = []
    for column in range(pictures[0].looked.shape[1]):
        hits = places = 0
        for one in pictures:
            silent = one.looked[:, column] & ~np.isfinite(one.places.by_detector[:, column])
            likeliest = np.nanmax(one.places.by_detector[silent], axis=1, initial=0) if silent.any() else np.empty(0)
            measured = one.measure(one.places.boxes[silent], np.asarray(likeliest, np.float32))
            hits, places = hits + int(measured.hits.sum()), places + len(measured.hits)
        # One more of each kind than there are: no silence is worth nothing, or all.
        found.append(float(np.clip((hits + 1) / (places + 2), LEAST_FLOOR, MOST_FLOOR)) if places else LEAST_FLOOR)
    return tuple(round(value, 4) for value in found)


@cache
def list_weights(count: int) -> list[tuple[float, ...]]:
    """Weights of so many detectors that add up to 1, the most even first; no detector has none."""
    if count == 1:
        return [(1.0,)]
    parts = STEPS.get(count, 2 * count)
    all_of = [w for w in itertools.product(range(1, parts), repeat=count) if sum(w) == parts]
    return [tuple(part / parts for part in w) for w in sorted(all_of, key=lambda w: (max(w) - min(w), w))]


def rank_fused(
    pictures: Sequence[FusablePicture], method: FusionMethod, weights: Sequence[float], floors: Sequence[float]
) -> Ranking:
    """All places of the pictures by what fusion makes of them."""
    chosen = FusionChoice(method, tuple(weights), tuple(floors), 0.0)
    return rank_measured(_measure_fused(pictures, chosen))


@dataclass(frozen=True, slots=True)
class _CaseResult:
    rates: Rates
    ranking: Ranking


def _measure_fused(pictures: Sequence[FusablePicture], chosen: FusionChoice) -> list[MeasuredPicture]:
    return [
        one.measure(
            one.places.boxes,
            pool(
                one.places.by_detector,
                one.looked,
                weights=chosen.weights,
                floors=chosen.floors,
                method=chosen.method,
            ),
        )
        for one in pictures
    ]


def _measure_alone(pictures: Sequence[FusablePicture], name: str) -> list[MeasuredPicture]:
    return [one.measure(one.found[name].boxes, one.found[name].probabilities) for one in pictures]


def _judge_alone(measured: Mapping[str, Sequence[MeasuredPicture]], case: str, rule: str) -> _CaseResult:
    others = [one for other, own in measured.items() if other != case for one in own]
    return _judge(measured[case], float(THRESHOLD_RULES[rule](rank_measured(others))))


def _judge(measured: Sequence[MeasuredPicture], threshold: float) -> _CaseResult:
    ranking = rank_measured(measured)
    kept = ranking.probabilities >= threshold
    hits = int(ranking.hits[kept].sum())
    return _CaseResult(Rates(hits, int(kept.sum()) - hits, ranking.figures - hits), ranking)


def _select_case(pictures: Sequence[FusablePicture], case: str) -> list[FusablePicture]:
    return [one for one in pictures if one.picture.patient == case]


def _interval(results: Sequence[_CaseResult], of: Callable[[Sequence[_CaseResult]], float]) -> BootstrapInterval:
    return bootstrap_interval(results, of, unit="patients", draws=DRAWS)


def _gain(
    of: Callable[[Sequence[_CaseResult]], float],
) -> Callable[[Sequence[tuple[_CaseResult, _CaseResult]]], float]:
    """How much more the first of each pair has."""
    return lambda pairs: of([one for one, _ in pairs]) - of([other for _, other in pairs])


def _f1(results: Sequence[_CaseResult]) -> float:
    return sum_rates([one.rates for one in results]).f1


def _precision(results: Sequence[_CaseResult]) -> float:
    """Average precision of all cases together."""
    probabilities = np.concatenate([np.empty(0, np.float32), *(one.ranking.probabilities for one in results)])
    hits = np.concatenate([np.empty(0, np.bool_), *(one.ranking.hits for one in results)])
    figures = {"all": sum(one.ranking.figures for one in results)}
    return average_precision(rank_scores(probabilities, hits, np.full(len(hits), "all"), figures))


def _pass(*_: object) -> None:
    """Nobody follows."""
