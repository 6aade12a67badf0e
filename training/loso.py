"""Leave one slide out: each slide is judged by a run that never saw it, with one threshold for all."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.scoring.analysis import MitosisMap
from training.datasets.icpr2012 import SLIDES, Field, read_fields
from training.datasets.root import data_root
from training.drafts import CANDIDATE_PROBABILITY, Remembering, draft_detector
from training.evaluate import by_slide, print_rates, score_field
from training.held_out import weights_without
from training.metrics import Found, Rates, average_precision, best_threshold, bootstrap_f1, rates


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

    detection_threshold: float
    screening_threshold: float
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
    cascades: Path, verifiers: Sequence[Path], out: Path, *, screening: float, say: Callable[[str], None] = print
) -> Evaluation:
    """Judge a cascade on each slide by weights that never saw it; write the evaluation as JSON to `out`.

    screening : Reg-NS score from which Det looks at a sub-tile
    cascades, verifiers : runs, each with `without-<slide>` folders, or one run that saw none of the slides

    Raises
    ------
    FileNotFoundError, ValueError
        If a run is missing or does not state that it never saw a slide; the message names the folder.
    """
    fields = read_fields(data_root())
    found, alone, lattice, shows = _score_all(cascades, verifiers, fields, screening, say)
    det_threshold, threshold = best_threshold(alone), best_threshold(found)
    total, det_total = rates(found, threshold), rates(alone, det_threshold)
    candidates = rates(alone, CANDIDATE_PROBABILITY)
    others = {slide: _best_of_others(found, slide) for slide in by_slide(found)}
    nested = [rates(by_slide(found)[slide], t) for slide, t in others.items()]
    passed = lattice >= screening
    result = Evaluation(
        detection_threshold=threshold,
        screening_threshold=screening,
        candidate_probability=CANDIDATE_PROBABILITY,
        f1=total.f1,
        f1_interval=bootstrap_f1(found, threshold),
        precision=total.precision,
        recall=total.recall,
        average_precision=average_precision(found),
        f1_threshold_of_others=_joint_f1(nested),
        f1_det_alone=det_total.f1,
        f1_det_alone_interval=bootstrap_f1(alone, det_threshold),
        det_threshold_alone=det_threshold,
        regns_tpr=float(passed[shows].mean()),
        regns_fpr=float(passed[~shows].mean()),
        det_windows_share=float(passed.mean()),
        candidate_recall=candidates.recall,
        per_slide=[_slide_result(slide, found, threshold) for slide in by_slide(found)],
    )
    for row in result.per_slide:
        say(f"{row.slide}: {asdict(row)}")
    print_rates(total, say)
    out.write_text(json.dumps(asdict(result), indent=1))
    return result


def _score_all(
    cascades: Path,
    verifiers: Sequence[Path],
    fields: Sequence[Field],
    screening: float,
    say: Callable[[str], None],
) -> tuple[list[Found], list[Found], NDArray[np.float32], NDArray[np.bool_]]:
    """Detections of the cascade and of Det alone, all sub-tile scores, and which sub-tiles hold a figure's centre."""
    found, alone, scores, shows = [], [], [], []
    loaded: dict[tuple[Path, ...], Remembering] = {}
    for slide in SLIDES:
        weights = tuple(weights_without(run, slide) for run in (cascades, *verifiers))
        if weights not in loaded:
            drafted = draft_detector(weights[0], weights[1:], screening=screening)
            loaded[weights] = Remembering(drafted, drafted.verification_card)
        detector = loaded[weights]
        for field in (f for f in fields if f.slide == slide):
            part, lattice = score_field(detector, field)
            unverified, _ = score_field(replace(detector, verification_card=None), field)
            found.append(part)
            alone.append(unverified)
            inside = ~np.isnan(lattice.scores)
            scores.append(lattice.scores[inside])
            shows.append(_holds_a_centre(lattice, part.truth)[inside])
            say(f"{part.name}: {len(part.centres)} candidates, {len(part.truth)} figures")
    return found, alone, np.concatenate(scores), np.concatenate(shows)


def _holds_a_centre(lattice: MitosisMap, centres: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which sub-tiles of the lattice hold one of the centres (x, y), level-0 px."""
    rows, columns = np.indices(lattice.scores.shape)
    corners = np.stack([lattice.x + columns * lattice.step, lattice.y + rows * lattice.step], -1)
    offset = centres[None, None] - corners[:, :, None]
    return np.asarray(((offset >= 0) & (offset < lattice.window)).all(-1).any(-1), np.bool_)


def _joint_f1(counts: Sequence[Rates]) -> float:
    hits = 2 * sum(c.true_positives for c in counts)
    return hits / max(hits + sum(c.false_positives + c.false_negatives for c in counts), 1)


def _best_of_others(found: list[Found], slide: str) -> float:
    return best_threshold([f for f in found if f.group != slide])


def _slide_result(slide: str, found: list[Found], threshold: float) -> SlideResult:
    mine = by_slide(found)[slide]
    at = rates(mine, threshold)
    return SlideResult(
        slide=slide,
        true_figures=sum(len(f.truth) for f in mine),
        precision=at.precision,
        recall=at.recall,
        f1=at.f1,
        f1_own_threshold=rates(mine, best_threshold(mine)).f1,
        f1_threshold_of_others=rates(mine, _best_of_others(found, slide)).f1,
    )
