"""What a cascade finds in the pictures of held-out patients, by the very code that serves."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ValidationError

from serving.scoring.analysis import Options
from serving.scoring.detector import Detector
from serving.scoring.onnx_detector import OnnxDetector
from serving.scoring.pipeline import score_slide
from training.data.import_report import first_problem
from training.data.patient import current_case
from training.data.pictures import open_picture
from training.data.store import Dataset
from training.evaluation.as_served import LOWEST
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_unseen


def detect_fold(
    detector: Detector,
    stores: Sequence[Dataset],
    patients: Iterable[str],
    *,
    fold: str,
    seen: Iterable[str],
    say: Callable[[str], None] = print,
) -> FoldDetections:
    """Detections in the labelled pictures of patients, down to probability `LOWEST`.

    detector : whose last card states no calibration, see `without_calibration`
    seen : patients that took any part in the weights

    Raises
    ------
    ValueError
        If the weights saw one of the patients, a patient has no labelled picture, a picture states no resolution, or the
        detector's card states a calibration.
    MitoserveError
        If a picture does not open or cannot be scored.
    """
    wanted, found = set(patients), []
    result = FoldDetections(
        fold=fold,
        seen=sorted(set(seen)),
        models=[
            f"{c.name} {c.version}" for c in (detector.detection_card, detector.verification_card) if c is not None
        ],
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
                report = score_slide(slide, detector, Options(threshold=LOWEST, mpp=picture.mpp, qc="off")).report
            rows = [(d.x + d.width / 2, d.y + d.height / 2, d.probability) for d in report.detections]
            found.append(PictureDetections(dataset=store.name, picture=picture.id, detections=rows))
            say(f"{picture.id}: {len(rows)} detections, {len(picture.boxes())} figures")
    return result.model_copy(update={"pictures": found})


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
