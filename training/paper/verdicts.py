"""Whether each trend that the paper reports holds in our outcomes, with an interval."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.models.heads.scores import REG_THRESHOLDS
from training.paper.grid import Sizes, job_name
from training.paper.outcome import GridOutcome, Rate, Seeds, area_under_roc, rate_at

DRAWS = 1000

Weights = NDArray[np.float64]
Pick = Callable[[str], GridOutcome]
"""A training's outcome, by one of its seeds."""
Difference = Callable[[Pick, Weights], float]


@dataclass(frozen=True, slots=True)
class TrendVerdict:
    """A trend of the paper's, the difference that expresses it, and whether ours shows it.

    difference : above 0 if the trend holds; interval : 95 %, patients drawn with replacement, since pictures of one are alike, and a seed
        for each training where there are several
    verdict : "holds" or "does not hold" where the interval leaves out 0, else "undecided"
    """

    trend: str
    measure: str
    difference: float
    interval: tuple[float, float]
    verdict: Literal["holds", "does not hold", "undecided"]


def verdicts(seeds: Seeds, positive: NDArray[np.bool_], patient: NDArray[np.intp], sizes: Sizes) -> list[TrendVerdict]:
    """A verdict on each trend.

    positive : bool, (N,), which test sub-tiles are mitotic; patient : int, (N,), a number for the patient of each
    """

    def best(outcome: GridOutcome, thresholds: tuple[float, ...], weights: Weights) -> float:
        return max(rate_at(outcome.scores, positive, t, weights).youden for t in thresholds)

    def fixed(outcome: GridOutcome, threshold: float, weights: Weights) -> Rate:
        return rate_at(outcome.scores, positive, threshold, weights)

    def area(outcome: GridOutcome, weights: Weights) -> float:
        return area_under_roc(outcome.scores, positive, weights)

    def judge(trend: str, measure: str, difference: Difference) -> TrendVerdict:
        return _judge(trend, measure, difference, seeds, patient)

    reg, reg_ns = job_name("Reg"), job_name("Reg-NS", negatives="1to1")
    ten = job_name("Reg-NS", negatives="10to1")
    judged = [
        judge(
            "Negatives help Reg",
            "TPR - FPR at each one's best threshold, Reg-NS 1:1 less Reg",
            lambda pick, w: best(pick(reg_ns), REG_THRESHOLDS, w) - best(pick(reg), (*REG_THRESHOLDS, 0.7), w),
        ),
        judge(
            "10:1 has fewer false positives than 1:1",
            "FPR at 0.35, 1:1 less 10:1",
            lambda pick, w: fixed(pick(reg_ns), 0.35, w).fpr - fixed(pick(ten), 0.35, w).fpr,
        ),
        judge(
            "10:1 pays for it with true positives",
            "TPR at 0.35, 1:1 less 10:1",
            lambda pick, w: fixed(pick(reg_ns), 0.35, w).tpr - fixed(pick(ten), 0.35, w).tpr,
        ),
        judge(
            "Weighing by agreement helps Det",
            "TPR at 0.95, Det-WL less Det (the paper's FPR rises with it)",
            lambda pick, w: fixed(pick(job_name("Det-WL")), 0.95, w).tpr - fixed(pick(job_name("Det")), 0.95, w).tpr,
        ),
        judge(
            "Weighing by agreement helps Det-NS",
            "TPR at 0.95, Det-NS-WL less Det-NS",
            lambda pick, w: (
                fixed(pick(job_name("Det-NS-WL", negatives="1to1")), 0.95, w).tpr
                - fixed(pick(job_name("Det-NS", negatives="1to1")), 0.95, w).tpr
            ),
        ),
        judge(
            "The backbone of a Reg run hurts Det",
            "AUC, mean over the rows of Table 8: without transfer less mean over the backbones",
            lambda pick, w: _transfer_loss(sizes, lambda job: area(pick(job), w)),
        ),
        judge(
            "Reg-NS does no worse than Det",
            "AUC, Reg-NS 4:1 less Det",
            lambda pick, w: area(pick(job_name("Reg-NS", negatives="4to1")), w) - area(pick(job_name("Det")), w),
        ),
    ]
    return [*judged, _cost(seeds[0])]


def _judge(trend: str, measure: str, difference: Difference, seeds: Seeds, patient: NDArray[np.intp]) -> TrendVerdict:
    """The mean difference over seeds on all patients, and its percentiles.

    These are over draws of patients, and of a seed for each training.
    """
    numbers, of = np.unique(patient, return_inverse=True)
    rng = np.random.default_rng(0)
    names = list(seeds[0])

    @cache
    def of_draw(times: tuple[int, ...], chosen: tuple[int, ...]) -> float:
        """Of a draw that has each patient so many times: a few patients have few draws that differ."""
        seed_of = dict(zip(names, chosen, strict=True)) if chosen else {}
        return difference(lambda job: seeds[seed_of.get(job, 0)][job], np.asarray(times, np.float64)[of])

    def drawn_seeds() -> tuple[int, ...]:
        return tuple(rng.integers(len(seeds), size=len(names))) if len(seeds) > 1 else ()

    drawn = [
        of_draw(tuple(np.bincount(rng.integers(0, len(numbers), len(numbers)), minlength=len(numbers))), drawn_seeds())
        for _ in range(DRAWS)
    ]
    ones = np.ones(len(patient))
    value = float(np.mean([difference(outcomes.__getitem__, ones) for outcomes in seeds]))
    defined = [d for d in drawn if not np.isnan(d)]
    if np.isnan(value) or len(numbers) < 2 or len(defined) < DRAWS / 2:
        return TrendVerdict(trend, measure, value, (float("nan"), float("nan")), "undecided")
    low, high = (float(v) for v in np.percentile(defined, [2.5, 97.5]))
    said: Literal["holds", "does not hold", "undecided"] = "undecided"
    if low > 0:
        said = "holds"
    elif high < 0:
        said = "does not hold"
    return TrendVerdict(trend, measure, value, (low, high), said)


def _transfer_loss(sizes: Sizes, figure: Callable[[str], float]) -> float:
    rows = []
    for model, positions in sizes.backbones.items():
        for position in positions:
            events = sizes.events[position]
            sources = [f"from-{job_name('Reg', events=e)}" for e in sizes.events]
            transferred = [figure(job_name(model, events=events, backbone=s)) for s in sources]
            rows.append(figure(job_name(model, events=events)) - float(np.mean(transferred)))
    return float(np.mean(rows))


def _cost(outcomes: Mapping[str, GridOutcome]) -> TrendVerdict:
    """Naive aggregation looks at more sub-tiles: a count, which needs no interval."""
    jobs = [job_name("Reg-NS", negatives="1to1"), job_name("Det")]
    ratio = float(np.mean([outcomes[f"{job}_naive"].samples / outcomes[job].samples for job in jobs]))
    return TrendVerdict(
        "Naive aggregation costs more",
        "sub-tiles seen in training, naive over event first, less 1",
        ratio - 1,
        (ratio - 1, ratio - 1),
        "holds" if ratio > 1 else "does not hold",
    )
