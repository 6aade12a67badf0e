"""Several detectors as an ensemble, judged on detections of folds: what is chosen for a patient is chosen on the other patients."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from serving.core.annotations import ONE_FIGURE_UM
from serving.core.detections import Detections
from serving.core.words import RESEARCH_USE
from serving.datasets.documents import read_document
from serving.datasets.store import Dataset, Picture
from serving.evaluation.fusion_choice import (
    METHODS,
    FusablePicture,
    JudgedEntry,
    choose_fusion,
    judge_fusion,
)
from serving.scoring.fusion import find_places
from serving.scoring.matching import MATCH_RADIUS_UM
from training.evaluation.choice import AUTOMATIC, check_names, choose
from training.evaluation.fold_detections import FoldDetections, pair_pictures
from training.evaluation.judged_pictures import JudgedPicture, PooledDetections, folds
from training.evaluation.summary import Measured, Part


class JudgedMember(Part):
    """A detector alone, or the ensemble."""

    name: str
    f1: Measured
    average_precision: Measured
    f1_gain: Measured | None = Field(description="Of the ensemble over it; null of the ensemble.")
    average_precision_gain: Measured | None


class EnsembleOnSource(Part):
    """The detectors and the ensemble on the pictures of one source, or of all."""

    source: str
    pictures: int
    figures: int
    detectors: list[JudgedMember]


class EnsembleJudgement(Part):
    """What an ensemble gives beyond its detectors."""

    schema_version: str = "1.0"
    rule: str
    method: str
    weights: dict[str, float] = Field(description="Chosen on all pictures; what is stated of one is of others' choice.")
    sources: list[EnsembleOnSource]
    limits: list[str]
    research_use: str = RESEARCH_USE


def judge_fused_folds(
    detectors: Mapping[str, Sequence[Path]], stores: Sequence[Dataset], *, rule: str = "flat-f1"
) -> EnsembleJudgement:
    """Judge an ensemble of detectors, each of which has the detections of its folds.

    detectors : files of folds, by the detector's name

    Raises
    ------
    ValueError
        If there are fewer than two detectors, a file is not one of a fold, weights saw a patient whom they are to judge, or a detector
        lacks a picture.
    """
    check_names(AUTOMATIC, rule)
    if len(detectors) < 2:
        raise ValueError("give at least two detectors: --detector NAME=FOLDER --detector OTHER=FOLDER")
    found = {
        name: _calibrate(pair_pictures(stores, [read_document(path, FoldDetections) for path in paths]))
        for name, paths in detectors.items()
    }
    pictures = {(store.name, picture.id): picture for store in stores for picture in store}
    fusable = {
        key: _join({name: own[key] for name, own in found.items()}, pictures[key]) for key in next(iter(found.values()))
    }
    chosen = choose_fusion(list(fusable.values()), rule, METHODS)
    sources = ["all", *sorted({source for source, _ in fusable})]
    return EnsembleJudgement(
        rule=rule,
        method=chosen.method,
        weights=dict(zip(detectors, chosen.weights, strict=True)),
        sources=[
            _judge_source(name, [one for (source, _), one in fusable.items() if name in ("all", source)], rule)
            for name in sources
        ],
        limits=[
            "Calibration comes from the other folds; weights, method, floors and threshold from the other patients of the source.",
            "Ambiguous objects count as what they are not: a detection of one is a false one.",
        ],
    )


def _calibrate(pictures: Sequence[JudgedPicture]) -> dict[tuple[str, str], tuple[JudgedPicture, NDArray[np.float64]]]:
    """Every picture with the probabilities of its detections, calibrated by the pictures of the other folds."""
    detected = PooledDetections.from_pictures(pictures)
    result = {}
    for _, inside in folds(detected.pictures):
        chosen = choose(detected.only(~inside)).calibration
        for i in np.flatnonzero(inside).tolist():
            one = pictures[i]
            result[one.source, one.name] = (one, chosen.apply(np.asarray(one.scores, np.float64)))
    return result


def _join(found: Mapping[str, tuple[JudgedPicture, NDArray[np.float64]]], picture: Picture) -> FusablePicture:
    """What all detectors found in a picture."""
    first, _ = next(iter(found.values()))
    boxed = {name: _box(one.detections, said, one.mpp) for name, (one, said) in found.items()}
    places = find_places(boxed, MATCH_RADIUS_UM / first.mpp)
    looked = np.ones((len(places.boxes), len(found)), np.bool_)
    return FusablePicture(picture, first.mpp, boxed, places, looked, dict.fromkeys(found, 0.0), first.area_mm2)


def _box(centres: ArrayLike, probabilities: NDArray[np.float64], mpp: float) -> Detections:
    middles = np.asarray(centres, np.float64).reshape(-1, 2)
    half = ONE_FIGURE_UM / 2 / mpp
    boxes = np.concatenate([middles - half, middles + half], 1).astype(np.float32)
    order = np.argsort(-probabilities, kind="stable")
    said = probabilities.astype(np.float32)
    return Detections(boxes, said, np.zeros(len(said), np.float32))[order]


def _judge_source(name: str, pictures: Sequence[FusablePicture], rule: str) -> EnsembleOnSource:
    return EnsembleOnSource(
        source=name,
        pictures=len(pictures),
        figures=sum(len(one.picture.centres()) for one in pictures),
        detectors=[_state(entry) for entry in judge_fusion(pictures, rule, METHODS)],
    )


def _state(entry: JudgedEntry) -> JudgedMember:
    values = {
        "f1": entry.f1,
        "average_precision": entry.average_precision,
        "f1_gain": entry.f1_gain,
        "average_precision_gain": entry.precision_gain,
    }
    measured = {
        key: None if value is None else Measured.model_validate(value, from_attributes=True)
        for key, value in values.items()
    }
    return JudgedMember.model_validate({"name": entry.name, **measured})
