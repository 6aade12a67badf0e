"""A judgement across groups: what is chosen for a group is chosen on others. Start at `judge`, or `cross_validate` from files."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.datasets.documents import read_document
from serving.datasets.store import read_store
from serving.evaluation.threshold_rules import FLAT, f1_at
from serving.scoring.matching import MATCH_RADIUS_UM
from training.evaluation.choice import AUTOMATIC, Choice, check_names, choose
from training.evaluation.curves import thin_curve
from training.evaluation.fold_detections import FoldDetections, describe_cascade, pair_pictures, with_share
from training.evaluation.judged_metrics import METRICS, JudgedGroups, average_precision, ratio
from training.evaluation.judged_pictures import JudgedPicture, PooledDetections, figures_in, folds, look_alikes_in
from training.evaluation.judgement import (
    ChosenRow,
    CountRow,
    F1Point,
    Flatness,
    FoldRow,
    GroupRow,
    JudgedCascade,
    JudgedSource,
    Judgement,
)
from training.evaluation.judgement_tables import summary_table, write_judgement
from training.evaluation.lattice import calibration as reliability_of
from training.evaluation.summary import PrecisionRecallPoint

POOLED = "pooled"
QUARTER = 0.25
_MOVES = np.round(np.arange(-3 * FLAT, 3 * FLAT + 0.005, 0.01), 3)
CHOSEN_ELSEWHERE = (
    "A fold's threshold and calibration are chosen on other groups, by detections of the weights that left those groups "
    "out; such weights saw the judged group in training, the choice did not."
)
OF_FOLDS = (
    "The figures are of the weights of the folds, each of which learnt from fewer groups; weights that learn from all groups are "
    "others and are not judged."
)


def judge(
    pictures: Sequence[JudgedPicture],
    *,
    calibration: str = AUTOMATIC,
    rule: str = "flat-f1",
    title: str = "Cross-validation by group",
    limits: Sequence[str] = (),
    cascade: JudgedCascade | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Judgement:
    """Judge detections group by group, each by a calibration and a threshold of other groups.

    pictures : each with detections of weights that saw nothing of its group, down to a probability well below any
        threshold: calibration and average precision are of what is given
    calibration : a name of `CALIBRATIONS`, or `AUTOMATIC`, which chooses within the training groups of each fold
    rule : a name of `THRESHOLD_RULES`
    cascade : what is known of the weights

    Raises
    ------
    ValueError
        If there are fewer than two folds, a group is in two, a picture comes twice, or a name is not known.
    """
    detected = PooledDetections.from_pictures(pictures)
    probabilities, thresholds = np.empty(len(detected.scores)), np.empty(len(pictures))
    rows, choices = [], [choose(detected, calibration=calibration, rule=rule)] * len(pictures)
    release = choices[0]
    sides = list(folds(detected.pictures))
    if len(sides) < 2:
        raise ValueError("there is one fold: no other groups to choose a threshold on")
    for fold, inside in sides:
        choice = choose(detected.only(~inside), calibration=calibration, rule=rule)
        own = inside[detected.picture]
        probabilities[own] = choice.calibration.apply(detected.scores[own])
        thresholds[inside] = choice.threshold
        for i in np.flatnonzero(inside):
            choices[i] = choice
        rows.append(
            FoldRow(
                fold=fold,
                groups=_groups(detected, inside),
                **_choice_row(choice, _groups(detected, ~inside)).model_dump(),
            )
        )
    whole = _Part(detected, probabilities, thresholds, tuple(choices))
    sources = sorted({p.source for p in pictures})
    return Judgement(
        title=title,
        matching_radius_um=MATCH_RADIUS_UM,
        pooled=_source(whole, POOLED, draws, seed),
        sources=[_source(whole.of_source(name), name, draws, seed) for name in sources],
        folds=rows,
        release=_choice_row(release, _groups(detected, np.ones(len(pictures), np.bool_))),
        cascade=cascade or JudgedCascade(),
        limits=[CHOSEN_ELSEWHERE, OF_FOLDS, *limits],
    )


def _groups(detected: PooledDetections, chosen: NDArray[np.bool_]) -> list[str]:
    return sorted({p.group for p, c in zip(detected.pictures, chosen, strict=True) if c})


def _choice_row(choice: Choice, groups: list[str]) -> ChosenRow:
    return ChosenRow(
        chosen_on=groups,
        calibration=choice.method,
        calibration_map=choice.calibration,
        threshold_rule=choice.rule,
        threshold=choice.threshold,
        count_factor=choice.count.factor,
        count_spread=choice.count.spread,
    )


@dataclass(frozen=True)
class _Part:
    """Detections with the probabilities, thresholds and choices of their folds.

    probabilities : float64, shape (N,). thresholds : float64, one for each picture. choices : one for each picture
    """

    detected: PooledDetections
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    choices: tuple[Choice, ...]

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Which detections count, shape (N,)."""
        return self.above(0.0)

    def above(self, moved: float) -> NDArray[np.bool_]:
        """Which detections would count with every threshold moved, shape (N,)."""
        return np.asarray(self.probabilities >= (self.thresholds + moved)[self.detected.picture])

    def of_source(self, name: str) -> "_Part":
        """The pictures of one source."""
        return self._only(p.source == name for p in self.detected.pictures)

    def of_group(self, name: str) -> "_Part":
        """The pictures of one group."""
        return self._only(p.group == name for p in self.detected.pictures)

    def of_slide(self, name: str) -> "_Part":
        """The pictures of one slide."""
        return self._only(p.slide == name for p in self.detected.pictures)

    def _only(self, chosen: Iterable[bool]) -> "_Part":
        of = np.fromiter(chosen, np.bool_, len(self.detected.pictures))
        return _Part(
            self.detected.only(of),
            self.probabilities[of[self.detected.picture]],
            self.thresholds[of],
            tuple(c for c, kept in zip(self.choices, of, strict=True) if kept),
        )


def _source(part: _Part, name: str, draws: int, seed: int) -> JudgedSource:
    pictures = part.detected.pictures
    names = sorted({p.group for p in pictures})
    groups = [_group(part.of_group(group), group) for group in names]

    judged = _judged_groups(part, groups)
    figures = {metric: METRICS[metric].measured(judged, draws=draws, seed=seed) for metric in METRICS}
    own = {metric: value for metric, value in figures.items() if metric in JudgedSource.model_fields}
    ranking = part.detected.ranking(part.probabilities)
    ends = ranking.ends()
    hits = ranking.hits.cumsum()[ends]
    points = [hits / max(ranking.figures, 1), hits / (ends + 1)] if len(ends) else [np.empty(0), np.empty(0)]
    return JudgedSource(
        name=name,
        pictures=len(pictures),
        area_mm2=sum(p.area_mm2 for p in pictures),
        figures=sum(figures_in(p) for p in pictures),
        ambiguous=sum(len(np.asarray(p.ambiguous)) for p in pictures),
        look_alikes=sum(look_alikes_in(p) for p in pictures),
        **own,
        more={metric: value for metric, value in figures.items() if metric not in own},
        count_within_quarter=sum(_is_near(g.count.count_error) for g in groups),
        expected_within_quarter=sum(_is_near(g.count.expected_error) for g in groups),
        expected_covered=sum(g.count.expected_low <= g.figures <= g.count.expected_high for g in groups),
        candidate_recall=ratio(int(part.detected.hits.sum()), sum(figures_in(p) for p in pictures)),
        sub_tiles_passed=_passed(pictures),
        groups=groups,
        candidates=reliability_of(part.probabilities, part.detected.hits),
        counted=reliability_of(part.probabilities[part.counted], part.detected.hits[part.counted]),
        flatness=_flatness(part),
        best_f1=float(f1_at(ranking, ranking.probabilities[ends]).max()) if len(ends) else float("nan"),
        precision_recall=[
            PrecisionRecallPoint(recall=r, precision=p) for r, p in (thin_curve(*points) if len(ends) else [])
        ],
    )


def _judged_groups(part: _Part, rows: Sequence[GroupRow]) -> JudgedGroups:
    order = np.argsort(-part.probabilities, kind="stable")
    number = {row.group: i for i, row in enumerate(rows)}
    group = np.asarray([number[name] for name in part.detected.groups.tolist()], np.intp)
    return JudgedGroups(rows, part.probabilities[order], part.detected.hits[order], group[order])


def _group(part: _Part, name: str) -> GroupRow:
    detected, counted = part.detected, part.counted
    figures = sum(figures_in(p) for p in detected.pictures)
    area = sum(p.area_mm2 for p in detected.pictures)
    hits = int((detected.hits & counted).sum())
    false = int(counted.sum()) - hits
    row = GroupRow(
        group=name,
        pictures=len(detected.pictures),
        area_mm2=area,
        figures=figures,
        true_positives=hits,
        false_positives=false,
        false_negatives=figures - hits,
        precision=ratio(hits, hits + false),
        recall=ratio(hits, figures),
        f1=ratio(2 * hits, figures + hits + false),
        average_precision=None,
        false_per_mm2=false / area,
        look_alikes=sum(look_alikes_in(p) for p in detected.pictures),
        look_alikes_taken=int((detected.look_alikes & counted).sum()),
        count=_count(part, name, name),
        slides=[_count(part.of_slide(slide), slide, name) for slide in sorted({p.slide for p in detected.pictures})],
    )
    ranked_alone = average_precision(_judged_groups(part, [row]), np.ones(1, np.intp))
    return row.model_copy(update={"average_precision": None if isnan(ranked_alone) else ranked_alone})


def _count(part: _Part, slide: str, group: str) -> CountRow:
    """All pictures of a group are in one fold, so that one choice is theirs."""
    figures = sum(figures_in(p) for p in part.detected.pictures)
    counted = int(part.counted.sum())
    expected, low, high = part.choices[0].count.estimate(part.probabilities)
    return CountRow(
        slide=slide,
        group=group,
        figures=figures,
        counted=counted,
        count_error=ratio(counted - figures, figures),
        expected=expected,
        expected_low=low,
        expected_high=high,
        expected_error=ratio(expected - figures, figures),
    )


def _flatness(part: _Part) -> Flatness:
    figures = sum(figures_in(p) for p in part.detected.pictures)
    curve = []
    for moved in _MOVES.tolist():
        kept = part.above(moved)
        hits = int((part.detected.hits & kept).sum())
        curve.append(F1Point(moved=moved, f1=ratio(2 * hits, figures + int(kept.sum()))))
    near = [point.f1 for point in curve if abs(point.moved) <= FLAT + 1e-9 and point.f1 is not None]
    here = next(point.f1 for point in curve if point.moved == 0)
    change = float("nan") if here is None else max(abs(value - here) for value in near)
    return Flatness(within=FLAT, largest_change=change, curve=curve)


def _passed(pictures: Sequence[JudgedPicture]) -> float:
    if not all(p.sub_tiles for p in pictures):
        return float("nan")
    return ratio(sum(p.passed for p in pictures), sum(p.sub_tiles for p in pictures))


def _is_near(error: float | None) -> bool:
    return error is not None and abs(error) <= QUARTER


def cross_validate(
    stores: Sequence[Path],
    folds: Sequence[Path],
    out: Path,
    *,
    rule: str,
    calibration: str,
    detector_share: float | None = None,
    title: str = "Cross-validation by group",
    say: Callable[[str], None] = print,
) -> Judgement:
    """Judge the detections of all folds, and write the judgement into `out`.

    detector_share : weight of Det's log odds beside the verifier's, in place of what the folds state

    Raises
    ------
    ValueError
        If a file is not what it should be, a name is not known, weights saw a patient whom they are to judge, or two files state
        that their cascades differ by more than the weights.
    FileNotFoundError
        If a file is not there.
    """
    check_names(calibration, rule)
    found = [read_document(path, FoldDetections) for path in folds]
    if detector_share is not None:
        found = [with_share(fold, detector_share) for fold in found]
    cascade = describe_cascade(found)
    pictures = pair_pictures([read_store(path) for path in stores], found)
    judged = judge(pictures, calibration=calibration, rule=rule, title=title, cascade=cascade)
    write_judgement(judged, out)
    say("\n".join(summary_table(judged)))
    say(f"{out}: judgement.json, judgement.md, judgement.png. {judged.research_use}")
    return judged
