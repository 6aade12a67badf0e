"""What a cascade finds in the pictures of held-out patients, by the very code that serves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import BaseModel, ValidationError

from serving.scoring.analysis import Options
from serving.scoring.detector import Detector, cards_of
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.pipeline import score_slide
from serving.wsi.modelcard import ModelCard
from training.data.import_report import first_problem
from training.data.patient import current_case
from training.data.pictures import open_picture
from training.data.store import Dataset
from training.evaluation.as_served import LOWEST
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_unseen
from training.evaluation.judgement import ModelName


def detect_fold(
    detector: Detector,
    stores: Sequence[Dataset],
    patients: Iterable[str],
    *,
    fold: str,
    seen: Iterable[str],
    made_by: Mapping[ModelName, str] | None = None,
    say: Callable[[str], None] = print,
) -> FoldDetections:
    """Detections in the labelled pictures of patients, down to probability `LOWEST`.

    detector : whose last card states no calibration, see `without_calibration`
    seen : patients that took any part in the weights
    made_by : see `FoldDetections.made_by`; of what it does not name, the weights are those of the cards

    Raises
    ------
    ValueError
        If the weights saw one of the patients, a patient has no labelled picture, a picture states no resolution, or the
        detector's card states a calibration.
    MitoserveError
        If a picture does not open or cannot be scored.
    """
    wanted, found = set(patients), []
    cards, chosen = cards_of(detector), detector.screening_card.screening_threshold
    result = FoldDetections(
        fold=fold,
        seen=sorted(set(seen)),
        models=[f"{c.name} {c.version}" for c in cards],
        screening=None if chosen is None else chosen.score,
        made_by={**_weights(cards), **(made_by or {})},
        pictures=[],
    )
    check_unseen(result, wanted)
    last = detector.verification_card or detector.detection_card
    if last.probability_calibration is not None:
        raise ValueError(
            "the detector's probabilities are calibrated already; a judgement chooses a calibration itself"
        )
    if missing := wanted - {p.patient for store in stores for p in store if p.labelled}:
        raise ValueError(f"no store has labelled pictures of patient {sorted(missing)[0]}")
    for store in stores:
        for picture in (p for p in store if p.labelled and p.patient in wanted):
            if picture.mpp is None:
                raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
            with open_picture(Path(store.root) / picture.path) as slide:
                analysis = score_slide(slide, detector, Options(threshold=LOWEST, mpp=picture.mpp, qc="off"))
            rows = [(d.x + d.width / 2, d.y + d.height / 2, d.probability) for d in analysis.report.detections]
            scores = analysis.mitosis_map.scores[np.isfinite(analysis.mitosis_map.scores)]
            found.append(
                PictureDetections(
                    dataset=store.name,
                    picture=picture.id,
                    detections=rows,
                    sub_tiles=scores.size,
                    passed=0 if result.screening is None else int((scores >= result.screening).sum()),
                )
            )
            say(f"{picture.id}: {len(rows)} detections, {len(picture.boxes())} figures")
    return result.model_copy(update={"pictures": found})


def _weights(cards: Sequence[ModelCard]) -> dict[ModelName, str]:
    return {name: f"weights {c.sha256()}" for name in get_args(ModelName) for c in cards if c.name == name}


class _Seen(BaseModel):
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
            try:
                stated = _Seen.model_validate_json(path.read_bytes())
            except ValidationError as error:
                raise ValueError(f"{path}: {first_problem(error)}") from None
            # A store of an earlier release gave some patients other names.
            return frozenset(current_case(p) for p in (*stated.train, *stated.validation, *stated.before))
    raise ValueError(f"{run} does not state whom its weights saw (run.json); judge runs that do")


def without_calibration(detector: OnnxDetector) -> OnnxDetector:
    """The same cascade with the probabilities that its models give, whatever its cards make of them."""
    bare = {"probability_calibration": None, "figure_count": None}
    if detector.verification_card is not None:
        return replace(detector, verification_card=detector.verification_card.model_copy(update=bare))
    return replace(detector, detection_card=detector.detection_card.model_copy(update=bare))
