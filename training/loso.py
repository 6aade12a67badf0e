"""Leave one slide out: each slide is judged by a run that never saw it, with one threshold for all."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from serving.wsi.modelcard import RESEARCH_USE, DetectionThreshold, ModelCard, ModelInput, ScreeningThreshold
from training.datasets.icpr2012 import SLIDES, read_fields
from training.datasets.root import data_root
from training.evaluate import by_slide, print_rates, score_fields
from training.metrics import Found, best_threshold, bootstrap_f1, rates
from training.models.cascade import Cascade
from training.models.det import NMS_IOU
from training.torch_detector import TorchDetector

MERGE_RADIUS_UM = 6.0
"""Centres of two figures are rarely nearer: a figure is 7 to 15 um across."""


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
    f1: float
    f1_interval: tuple[float, float]
    precision: float
    recall: float
    f1_det_everywhere: float
    f1_threshold_of_others: float
    det_windows_share: float
    """Share of sub-tiles that pass the screening threshold."""
    true_positives_kept: float
    """Share of the true positives of Det-everywhere that the cascade keeps."""
    per_slide: list[SlideResult]


def leave_one_slide_out(runs: Path, out: Path, say: Callable[[str], None] = print) -> Evaluation:
    """Judge `runs`/without-<slide>/model.pt on each slide; write the evaluation as JSON to `out`.

    Raises
    ------
    FileNotFoundError
        If a run is missing; the message names the file.
    """
    everywhere, lattice = _score_all(runs, "off", 0.0, say)
    threshold = best_threshold(everywhere)
    screening = _screening_threshold(everywhere, threshold)
    cascade, _ = _score_all(runs, "on", screening, say)
    threshold = best_threshold(cascade)
    total, everywhere_total = rates(cascade, threshold), rates(everywhere, threshold)
    per_slide = [_slide_result(slide, cascade, threshold) for slide in by_slide(cascade)]
    others = [_best_of_others(cascade, slide) for slide in by_slide(cascade)]
    counts = [rates(by_slide(cascade)[slide], t) for slide, t in zip(by_slide(cascade), others, strict=True)]
    nested = (
        2
        * sum(c.true_positives for c in counts)
        / sum(2 * c.true_positives + c.false_positives + c.false_negatives for c in counts)
    )
    result = Evaluation(
        detection_threshold=threshold,
        screening_threshold=screening,
        f1=total.f1,
        f1_interval=bootstrap_f1(cascade, threshold),
        precision=total.precision,
        recall=total.recall,
        f1_det_everywhere=everywhere_total.f1,
        f1_threshold_of_others=nested,
        det_windows_share=float((lattice >= screening).mean()),
        true_positives_kept=total.true_positives / max(everywhere_total.true_positives, 1),
        per_slide=per_slide,
    )
    for row in per_slide:
        say(f"{row.slide}: {asdict(row)}")
    print_rates(total, say)
    out.write_text(json.dumps(asdict(result), indent=1))
    return result


def _score_all(
    runs: Path, cascade: Literal["on", "off"], screening: float, say: Callable[[str], None]
) -> tuple[list[Found], NDArray[np.float32]]:
    fields = read_fields(data_root())
    found, scores = [], []
    for slide in SLIDES:
        model = Cascade()
        model.load_state_dict(torch.load(runs / f"without-{slide}" / "model.pt", weights_only=True))
        detector = TorchDetector.of(model, *draft_cards(screening, 0.5))
        for part, lattice in score_fields(detector, [f for f in fields if f.slide == slide], cascade=cascade):
            found.append(part)
            scores.append(lattice)
            say(f"{part.name}: {len(part.centres)} candidates, {len(part.truth)} figures")
    return found, np.concatenate(scores)


def _screening_threshold(everywhere: list[Found], detection: float) -> float:
    """The highest screening score, in steps of 0.01, below that of every true positive of Det-everywhere."""
    lowest = min(f.scores[i] for f in everywhere for i in f.true_positives(detection))
    return float(max(np.floor(lowest * 100) / 100 - 0.01, 0.01))


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


def draft_cards(screening: float, detection: float) -> tuple[ModelCard, ModelCard]:
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
    )
