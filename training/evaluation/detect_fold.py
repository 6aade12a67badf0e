"""What a cascade finds in the pictures of held-out patients, by the very code that serves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import BaseModel

from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.datasets.documents import read_document
from serving.datasets.patient import current_case
from serving.datasets.pictures import open_picture
from serving.datasets.store import Dataset
from serving.scoring.detector import Detector, list_cards
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.pipeline import score_slide
from serving.scoring.verification import EQUAL_SHARE, pool_probabilities
from serving.slides.slide import Slide
from training.evaluation.caching_detector import CachingDetector
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_judged
from training.evaluation.judgement import ModelName
from training.evaluation.served_analysis import LOWEST


def detect_fold(
    detector: Detector,
    stores: Sequence[Dataset],
    patients: Iterable[str],
    *,
    fold: str,
    seen: Iterable[str],
    made_by: Mapping[ModelName, str] | None = None,
    screenings: Sequence[float] = (),
    say: Callable[[str], None] = print,
) -> list[FoldDetections]:
    """Detections in the labelled pictures of patients, down to probability `LOWEST`, once for each screening score.

    detector : whose last card states no calibration, see `without_calibration`
    seen : patients that took any part in the weights
    made_by : see `FoldDetections.made_by`; of what it does not name, the weights are those of the cards
    screenings : Reg-NS scores from which a sub-tile is passed on, for the time of the lowest; by default the card's alone

    Raises
    ------
    ValueError
        If the weights saw one of the patients, a patient has no labelled picture, a picture states no resolution, or the
        detector's card states a calibration.
    MitoserveError
        If a picture does not open or cannot be scored.
    """
    wanted = set(patients)
    cards, chosen = list_cards(detector), detector.screening_card.screening_threshold
    scores = sorted(screenings) or ([] if chosen is None else [chosen.score])
    verifier = detector.verification_card
    share = None if verifier is None else verifier.detector_share
    results = [
        FoldDetections(
            fold=fold,
            seen=sorted(set(seen)),
            models=[f"{c.name} {c.version}" for c in cards],
            screening=score,
            detector_share=None if verifier is None else EQUAL_SHARE if share is None else share,
            made_by={**_weights(cards), **(made_by or {})},
            pictures=[],
        )
        for score in scores
    ]
    for result in results:
        check_judged(result, stores, wanted)
    if (verifier or detector.detection_card).probability_calibration is not None:
        raise ValueError(
            "the detector's probabilities are calibrated already; a judgement chooses a calibration itself"
        )
    for store in stores:
        for picture in (p for p in store if p.labelled and p.patient in wanted):
            if picture.mpp is None:
                raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
            # One memory for a picture: it would not hold those of all.
            memory = CachingDetector.from_detector(detector)
            with open_picture(Path(store.root) / picture.path) as slide:
                for result in results:
                    found = _found(memory, slide, picture.mpp, result)
                    result.pictures.append(found.model_copy(update={"dataset": store.name, "picture": picture.id}))
            counts = " / ".join(str(len(result.pictures[-1].detections)) for result in results)
            say(f"{picture.id}: {counts} detections, {len(picture.boxes())} figures")
    return results


def _found(memory: CachingDetector, slide: Slide, mpp: float, fold: FoldDetections) -> PictureDetections:
    """What a cascade finds in one picture, not named yet."""
    verified = fold.detector_share is not None
    behind = memory.at(fold.screening or 0.0, verified=verified)
    # A share of all or of nothing gives what Det or the verifier says by itself; the models are asked once.
    said = [behind.with_share(share) for share in (1.0, 0.0)] if verified else [behind]
    options = ScoringOptions(threshold=0.0, mpp=mpp, qc="off")
    analyses = [score_slide(slide, one, options) for one in said]
    by_box = [{(d.x, d.y, d.width, d.height): d.probability for d in a.report.detections} for a in analyses]
    rows, opinions = [], []
    for box, probability in by_box[0].items():
        joint = probability
        if fold.detector_share is not None:
            apart = np.asarray([[probability], [by_box[1][box]]], np.float32)
            joint = float(pool_probabilities(apart[0], apart[1], fold.detector_share)[0])
        if joint >= LOWEST:
            rows.append((box[0] + box[2] / 2, box[1] + box[3] / 2, joint))
            if verified:
                opinions.append((probability, by_box[1][box]))
    lattice = analyses[0].mitosis_map.scores
    scores = lattice[np.isfinite(lattice)]
    return PictureDetections(
        dataset="",
        picture="",
        detections=rows,
        opinions=opinions,
        sub_tiles=scores.size,
        passed=0 if fold.screening is None else int((scores >= fold.screening).sum()),
    )


def _weights(cards: Sequence[ModelCard]) -> dict[ModelName, str]:
    return {name: f"weights {c.sha256()}" for name in get_args(ModelName) for c in cards if c.name == name}


class _PatientsSeen(BaseModel):
    """The part of a run's record that says whom the weights saw."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    before: tuple[str, ...] = ()


def patients_seen(run: Path) -> frozenset[str]:
    """Patients that took any part in a run's weights, as its folder states: `run.json`, or `split.json` of earlier runs.

    Raises
    ------
    ValueError
        If it states nothing: whoever may have seen everybody judges nobody.
    """
    for path in (run / "run.json", run / "split.json"):
        if path.is_file():
            stated = read_document(path, _PatientsSeen)
            # A store of an earlier release gave some patients other names.
            return frozenset(current_case(p) for p in (*stated.train, *stated.validation, *stated.before))
    raise ValueError(f"{run} does not state whom its weights saw (run.json); judge runs that do")


def without_calibration(detector: OnnxDetector) -> OnnxDetector:
    """The same cascade with the probabilities that its models give, whatever its cards make of them."""
    bare = {"probability_calibration": None, "figure_count": None}
    if detector.verification_card is not None:
        return replace(detector, verification_card=detector.verification_card.model_copy(update=bare))
    return replace(detector, detection_card=detector.detection_card.model_copy(update=bare))
