"""Leave one slide out: each slide is judged by a run that never saw it, with one threshold for all."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from serving.scoring.analysis import MitosisMap
from serving.wsi.modelcard import RESEARCH_USE, DetectionThreshold, ModelCard, ModelInput, ScreeningThreshold
from training.datasets.icpr2012 import SLIDES, Field, read_fields
from training.datasets.root import data_root
from training.evaluate import by_slide, print_rates, score_field
from training.held_out import weights_without
from training.metrics import Found, Rates, average_precision, best_threshold, bootstrap_f1, rates
from training.models.cascade import Cascade
from training.models.det import NMS_IOU
from training.models.verifier import Verifier
from training.torch_detector import TorchDetector

MERGE_RADIUS_UM = 6.0
"""Centres of two figures are rarely nearer: a figure is 7 to 15 um across."""
CANDIDATE_PROBABILITY = 0.05
"""Low: what Det is unsure of is the verifier's to judge."""


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
    alone, lattice, shows = _score_all(cascades, [], fields, screening, say)
    det_threshold = best_threshold(alone)
    found, _, _ = _score_all(cascades, verifiers, fields, screening, say)
    threshold = best_threshold(found)
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
) -> tuple[list[Found], NDArray[np.float32], NDArray[np.bool_]]:
    """Detections, all sub-tile scores, and which sub-tiles hold the centre of a figure, slide by slide."""
    found, scores, shows = [], [], []
    for slide in SLIDES:
        model = Cascade()
        model.load_state_dict(torch.load(weights_without(cascades, slide), weights_only=True))
        nets = [_verifier(weights_without(run, slide)) for run in verifiers]
        detector = TorchDetector.of(model, nets, draft_cards(screening, 0.5))
        for field in (f for f in fields if f.slide == slide):
            part, lattice = score_field(detector, field)
            found.append(part)
            inside = ~np.isnan(lattice.scores)
            scores.append(lattice.scores[inside])
            shows.append(_holds_a_centre(lattice, part.truth)[inside])
            say(f"{part.name}: {len(part.centres)} candidates, {len(part.truth)} figures")
    return found, np.concatenate(scores), np.concatenate(shows)


def _verifier(weights: Path) -> Verifier:
    net = Verifier()
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net


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


def draft_cards(screening: float, detection: float) -> tuple[ModelCard, ModelCard, ModelCard]:
    """Cards of weights under evaluation: real geometry and the thresholds to try, no figures yet."""
    common: dict[str, Any] = {
        "schema_version": "1.0",
        "version": "0.0.0",
        "input": ModelInput(window_px=250, stride_px=125, mpp=0.25, layout="uint8 RGB"),
        "weights": "float32, under evaluation",
        "parameters": 1,
        "data": [],
        "evaluation": "none yet",
        "per_slide": [],
        "figures": {},
        "limits": [],
        "research_use": RESEARCH_USE,
        "files": {"model.onnx": "0" * 64},
    }
    chosen: dict[str, str] = {"how_chosen": "given", "data": "none", "achieved": "not measured"}
    return (
        ModelCard(
            **common,
            name="reg-ns",
            task="screening",
            architecture="draft",
            output="scores",
            screening_threshold=ScreeningThreshold(score=screening, **chosen),
        ),
        ModelCard(
            **common,
            name="det",
            task="detection",
            architecture="draft",
            output="boxes",
            detection_threshold=DetectionThreshold(probability=detection, **chosen),
            nms_iou=NMS_IOU,
            merge_radius_um=MERGE_RADIUS_UM,
        ),
        ModelCard(
            **{**common, "input": ModelInput(window_px=64, stride_px=64, mpp=0.25, layout="uint8 RGB")},
            name="verifier",
            task="verification",
            architecture="draft",
            output="probabilities",
            detection_threshold=DetectionThreshold(probability=detection, **chosen),
            candidate_probability=CANDIDATE_PROBABILITY,
        ),
    )
