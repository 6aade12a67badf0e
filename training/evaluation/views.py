"""What one view of a candidate says of what all eight say: when a fast analysis may be content with it."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, logit

from serving.core.errors import ModelError
from serving.core.modelcard import load_card
from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset, Picture
from serving.evaluation.bootstrap import bootstrap_interval
from serving.scoring.detector import TriagedDetector, counting_threshold
from serving.scoring.loading import load_cascade
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.verification import SURE
from training.evaluation.caching_detector import CachingDetector
from training.evaluation.found_figures import describe_share, take_every
from training.evaluation.served_analysis import analyse_picture
from training.evaluation.summary import Measured, Part
from training.evaluation.triage import choose_threshold
from training.export.single_view import write_single_view

MARGIN = 1.0
"""Log odds by which the chosen probability is lower still: the least of a hundred or two is no bound for the next."""
WANTED = 0.999
"""Share of the detections that count which are shown all views."""
VERIFIER = "verifier"


class ViewsJudgement(Part):
    """Candidates of patients, each at the probability that the other patients chose."""

    schema_version: str = "1.0"
    models: list[str]
    provider: str
    wanted: float
    margin: float = Field(
        description="Log odds by which the probability is lower than the highest that keeps that share."
    )
    first_probability: float = Field(description="By the same rule over all patients.")
    patients: int
    candidates: int
    counted: int = Field(description="Candidates that count after eight views.")
    kept: Measured = Field(description="Share of those that are shown all views.")
    asked_again: Measured = Field(description="Share of all candidates that are shown all views.")
    how: str
    research_use: str = RESEARCH_USE


@dataclass(frozen=True, slots=True)
class ViewedPicture:
    """The candidates of a picture. first : joint probability after one view, float32, (N,). counts : bool, whether it counts after all."""

    patient: str
    first: NDArray[np.float32]
    counts: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class JudgedPictures:
    """The members of `ViewsJudgement` that follow from its candidates."""

    first_probability: float
    patients: int
    kept: Measured
    asked_again: Measured


def judge_views(
    stores: Sequence[Dataset],
    *,
    folders: Mapping[str, Path],
    provider: str,
    every: int = 1,
    wanted: float = WANTED,
    draws: int = 2000,
    say: Callable[[str], None] = print,
) -> ViewsJudgement:
    """Verify the candidates of labelled pictures by one view and by eight.

    Parameters
    ----------
    folders
        Version folders of a cascade's models, by name; the verifier's graph turns and mirrors its windows itself.
    every
        Of each patient's pictures in a store every n-th.
    wanted
        Share of the detections that count which the chosen probability keeps.

    Raises
    ------
    ValueError
        If there is no verifier, `write_single_view` refuses it, or `judge_pictures` the pictures.
    ModelError
        If a model cannot be loaded.
    """
    if VERIFIER not in folders:
        raise ValueError(f"there is no verifier among {', '.join(folders)}: give a version of the whole cascade")
    pictures: list[ViewedPicture] = []
    beside = {name: path for name, path in folders.items() if name != "triage"}
    with tempfile.TemporaryDirectory() as scratch:
        single = write_single_view(folders[VERIFIER], Path(scratch))
        detector = load_cascade({**beside, VERIFIER: single}, providers=[provider])
        for store in stores:
            for picture in take_every(store, every):
                pictures.append(_view(detector, store, picture))
                viewed = pictures[-1]
                say(f"{picture.id}: {len(viewed.first)} candidates, of which {viewed.counts.sum()} count")
    judged = judge_pictures(pictures, wanted=wanted, draws=draws)
    return ViewsJudgement(
        models=[f"{card.name} {card.version}" for card in map(load_card, beside.values())],
        provider=provider,
        wanted=wanted,
        margin=MARGIN,
        first_probability=judged.first_probability,
        patients=judged.patients,
        candidates=sum(len(picture.first) for picture in pictures),
        counted=sum(int(picture.counts.sum()) for picture in pictures),
        kept=judged.kept,
        asked_again=judged.asked_again,
        how=f"each patient at the probability that the others chose; {provider}; {describe_share(every)}; "
        "intervals draw patients; the cascade may have learnt from these pictures",
    )


def judge_pictures(pictures: Sequence[ViewedPicture], *, wanted: float, draws: int) -> JudgedPictures:
    """Judge each patient at the probability that the other patients chose.

    wanted : share of the detections that count which the chosen probability keeps; draws : of patients, for intervals

    Raises
    ------
    ValueError
        If fewer than two patients have a detection that counts.
    """
    by_patient = {name: [p for p in pictures if p.patient == name] for name in sorted({p.patient for p in pictures})}
    counted = {name: np.concatenate([p.first[p.counts] for p in of]) for name, of in by_patient.items()}
    if sum(len(first) > 0 for first in counted.values()) < 2:
        raise ValueError(
            "fewer than two patients have detections that count: what is chosen for one comes from the others"
        )
    chosen = {
        name: _choose(np.concatenate([f for n, f in counted.items() if n != name]), wanted) for name in by_patient
    }

    def measure(of_picture: Callable[[ViewedPicture], NDArray[np.bool_]]) -> Measured:
        def share(patients: Sequence[Sequence[ViewedPicture]]) -> float:
            said = np.concatenate([of_picture(p) for patient in patients for p in patient])
            return float(said.mean()) if len(said) else float("nan")

        interval = bootstrap_interval(list(by_patient.values()), share, unit="patients", draws=draws)
        return Measured.model_validate(interval, from_attributes=True)

    return JudgedPictures(
        first_probability=_choose(np.concatenate(list(counted.values())), wanted),
        patients=len(by_patient),
        kept=measure(lambda p: (p.first >= chosen[p.patient])[p.counts]),
        asked_again=measure(lambda p: p.first >= chosen[p.patient]),
    )


def _choose(counted: NDArray[np.float32], wanted: float) -> float:
    """The probability after one view from which all are asked for. counted : of detections that count, float32, (N,)."""
    least = min(max(choose_threshold(counted, wanted=wanted), SURE), 1 - SURE)
    return float(expit(logit(least) - MARGIN))


class _FirstView(CachingDetector):
    """The same memory behind a verifier that is content with one view."""

    def verify(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `TriagedDetector.verify_once`."""
        if not isinstance(self.detector, TriagedDetector):
            raise ModelError("these models have no verifier of one view")
        return self.detector.verify_once(windows)


def _view(detector: OnnxDetector, store: Dataset, picture: Picture) -> ViewedPicture:
    """Both ways on one picture; Reg-NS and Det answer once. What one way makes all but impossible is 0 there."""
    card = detector.verification_card
    if card is None:
        raise ModelError("these models have no verifier")
    plain = card.model_copy(update={"probability_calibration": None})
    memory = replace(CachingDetector.from_detector(detector), verification_card=plain)
    once = _FirstView(detector, memory.screening_card, plain, memory._screened, memory._detected)
    joint, first = (
        {
            (d.x, d.y, d.width, d.height): d.probability
            for d in analyse_picture(way, picture, Path(store.root)).report.detections
        }
        for way in (memory, once)
    )
    boxes = sorted(joint.keys() | first.keys())
    said = np.asarray([joint.get(box, 0.0) for box in boxes], np.float32)
    if card.probability_calibration is not None:
        said = card.probability_calibration.map.apply(said).astype(np.float32)
    return ViewedPicture(
        picture.patient,
        np.asarray([first.get(box, 0.0) for box in boxes], np.float32),
        np.asarray(said >= counting_threshold([card]), np.bool_),
    )
