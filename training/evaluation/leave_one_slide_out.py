"""Leave one slide out: each slide is judged by a run that never saw it, with one threshold for all."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.datasets.store import Dataset, Picture
from serving.evaluation.metrics import FieldDetections, Rates, bootstrap_f1, rates
from serving.evaluation.ranking import average_precision_by_distance, rank
from serving.evaluation.threshold_rules import best_f1
from serving.scoring.analysis import MitosisMap
from training.evaluation.caching_detector import CachingDetector
from training.evaluation.served_analysis import analyse_picture, group_by_slide, pair_with_truth
from training.export.draft_models import CANDIDATE_PROBABILITY, draft_detector
from training.recipes.runs import weights_without

TOLERATED_LOSS = 0.01
"""Of F1 and of average precision, for a faster screening: far inside the intervals that 59 figures leave."""


@dataclass(frozen=True, slots=True)
class SlideResult:
    """One slide, by the run that left it out."""

    slide: str
    true_figures: int
    precision: float
    recall: float
    f1: float
    f1_own_threshold: float
    f1_threshold_of_others: float
    """At the threshold that is best on the *other* slides: no figure of this slide took part in choosing it."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the card states of a release."""

    data: str
    """Names of the stores."""
    pictures: int
    figures: int
    detection_threshold: float
    screening_threshold: float
    whole_tile: bool
    """Whether Reg-NS saw a tile at once or each sub-tile by itself."""
    candidate_probability: float
    f1: float
    f1_interval: tuple[float, float]
    precision: float
    recall: float
    average_precision: float
    f1_threshold_of_others: float
    f1_det_alone: float
    """Det behind the same screening, without a verifier, at its own best threshold."""
    f1_det_alone_interval: tuple[float, float]
    det_threshold_alone: float
    regns_tpr: float
    """Of sub-tiles that hold a figure's centre, the share that passes the screening threshold."""
    regns_fpr: float
    """The same of all others."""
    det_windows_share: float
    """Share of sub-tiles that pass the screening threshold."""
    candidate_recall: float
    """Share of the figures among Det's candidates: no verifier finds more."""
    per_slide: list[SlideResult]


def leave_one_slide_out(
    cascades: Path,
    verifiers: Sequence[Path],
    dataset: Dataset,
    out: Path,
    *,
    screening: Sequence[float],
    screener: Path | None = None,
    provider: str = "CPUExecutionProvider",
    say: Callable[[str], None] = print,
) -> Evaluation:
    """Judge a cascade on each patient's labelled pictures by weights that never saw them; write the evaluation as JSON to `out`.

    screening : Reg-NS scores to try as the one from which Det looks at a sub-tile. The evaluation is of the highest whose
        F1 and average precision are within `TOLERATED_LOSS` of the best: the fewer sub-tiles pass, the faster is a slide
    cascades, verifiers, screener : runs, each with `without-<patient>` folders, or one run that saw none of them;
        without a screener the cascade's own Reg-NS screens, sub-tile by sub-tile

    Raises
    ------
    FileNotFoundError, ValueError
        If a run is missing or does not state that it never saw a patient; the message names the folder.
    """
    pictures = sorted((p for p in dataset if p.labelled), key=lambda p: (p.patient, p.id))
    if not any(len(p.boxes()) for p in pictures):
        raise ValueError(f"{dataset.name} holds no labelled figure to judge on")
    detectors = _detectors({p.patient for p in pictures}, cascades, verifiers, screener, provider)
    root, tried = Path(dataset.root), []
    for score in sorted(screening):
        scored = _score_all(detectors, pictures, root, score, say)
        tried.append(_evaluation(scored, score, data=dataset.name, whole_tile=screener is not None))
        say(f"screening {score:g}: {asdict(tried[-1])}")
    result = _fastest(tried)
    for row in result.per_slide:
        say(f"{row.slide}: {asdict(row)}")
    say(
        f"screening {result.screening_threshold:g}: precision {result.precision:.3f}  recall {result.recall:.3f}  "
        f"F1 {result.f1:.3f}  of all slides at {result.detection_threshold:.3f}"
    )
    out.write_text(json.dumps(asdict(result), indent=1))
    return result


def _fastest(tried: Sequence[Evaluation]) -> Evaluation:
    """The one with the highest screening threshold, of those that are good enough, or the one with the highest F1."""
    f1 = max(e.f1 for e in tried) - TOLERATED_LOSS
    precision = max(e.average_precision for e in tried) - TOLERATED_LOSS
    enough = [e for e in tried if e.f1 >= f1 and e.average_precision >= precision]
    return max(enough, key=lambda e: e.screening_threshold) if enough else max(tried, key=lambda e: e.f1)


@dataclass(frozen=True, slots=True)
class _ScoredFields:
    """All fields, by one screening threshold.

    lattice : float32, (N,), the scores of all sub-tiles. shows : bool, (N,), which of them hold a figure's centre
    """

    found: list[FieldDetections]
    alone: list[FieldDetections]
    """By Det, without the verifier."""
    lattice: NDArray[np.float32]
    shows: NDArray[np.bool_]


def _detectors(
    patients: set[str], cascades: Path, verifiers: Sequence[Path], screener: Path | None, provider: str
) -> dict[str, CachingDetector]:
    """For each patient the detector that never saw them."""
    loaded: dict[tuple[Path | None, ...], CachingDetector] = {}
    chosen = {}
    for patient in sorted(patients):
        cascade, *judges = (weights_without(run, patient) for run in (cascades, *verifiers))
        first = weights_without(screener, patient) if screener is not None else None
        weights = (cascade, first, *judges)
        if weights not in loaded:
            loaded[weights] = CachingDetector.from_detector(draft_detector(cascade, judges, first, provider=provider))
        chosen[patient] = loaded[weights]
    return chosen


def _score_all(
    detectors: dict[str, CachingDetector],
    pictures: Sequence[Picture],
    root: Path,
    screening: float,
    say: Callable[[str], None],
) -> _ScoredFields:
    found, alone, scores, shows = [], [], [], []
    for picture in pictures:
        detector = detectors[picture.patient]
        analysis = analyse_picture(detector.at(screening, verified=True), picture, root)
        unverified = analyse_picture(detector.at(screening, verified=False), picture, root)
        part, lattice = pair_with_truth(analysis.report, picture.boxes(), group=picture.patient), analysis.mitosis_map
        found.append(part)
        alone.append(pair_with_truth(unverified.report, picture.boxes(), group=picture.patient))
        inside = ~np.isnan(lattice.scores)
        scores.append(lattice.scores[inside])
        shows.append(_holds_a_centre(lattice, part.truth)[inside])
        say(f"{part.name}: {len(part.centres)} candidates, {len(part.truth)} figures")
    return _ScoredFields(found, alone, np.concatenate(scores), np.concatenate(shows))


def _evaluation(scored: _ScoredFields, screening: float, *, data: str, whole_tile: bool) -> Evaluation:
    found, alone = scored.found, scored.alone
    threshold, det_threshold = best_f1(rank(found)), best_f1(rank(alone))
    total, det_total = rates(found, threshold), rates(alone, det_threshold)
    nested = [rates(own, _best_of_others(found, slide)) for slide, own in group_by_slide(found).items()]
    passed = scored.lattice >= screening
    return Evaluation(
        data=data,
        pictures=len(found),
        figures=sum(len(f.truth) for f in found),
        detection_threshold=threshold,
        screening_threshold=screening,
        whole_tile=whole_tile,
        candidate_probability=CANDIDATE_PROBABILITY,
        f1=total.f1,
        f1_interval=bootstrap_f1(found, threshold),
        precision=total.precision,
        recall=total.recall,
        average_precision=average_precision_by_distance(found),
        f1_threshold_of_others=_joint_f1(nested),
        f1_det_alone=det_total.f1,
        f1_det_alone_interval=bootstrap_f1(alone, det_threshold),
        det_threshold_alone=det_threshold,
        regns_tpr=float(passed[scored.shows].mean()),
        regns_fpr=float(passed[~scored.shows].mean()),
        det_windows_share=float(passed.mean()),
        candidate_recall=rates(alone, CANDIDATE_PROBABILITY).recall,
        per_slide=[_slide_result(slide, found, threshold) for slide in group_by_slide(found)],
    )


def _holds_a_centre(lattice: MitosisMap, centres: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which sub-tiles of the lattice hold one of the centres (x, y), level-0 px."""
    rows, columns = np.indices(lattice.scores.shape)
    corners = np.stack([lattice.x + columns * lattice.step, lattice.y + rows * lattice.step], -1)
    offset = centres[None, None] - corners[:, :, None]
    return np.asarray(((offset >= 0) & (offset < lattice.window)).all(-1).any(-1), np.bool_)


def _joint_f1(counts: Sequence[Rates]) -> float:
    hits = 2 * sum(c.true_positives for c in counts)
    return hits / max(hits + sum(c.false_positives + c.false_negatives for c in counts), 1)


def _best_of_others(found: list[FieldDetections], slide: str) -> float:
    return best_f1(rank([f for f in found if f.group != slide]))


def _slide_result(slide: str, found: list[FieldDetections], threshold: float) -> SlideResult:
    mine = group_by_slide(found)[slide]
    at = rates(mine, threshold)
    return SlideResult(
        slide=slide,
        true_figures=sum(len(f.truth) for f in mine),
        precision=at.precision,
        recall=at.recall,
        f1=at.f1,
        f1_own_threshold=rates(mine, best_f1(rank(mine))).f1,
        f1_threshold_of_others=rates(mine, _best_of_others(found, slide)).f1,
    )
