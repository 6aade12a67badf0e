"""Another verifier's word on the candidates that a fold's file holds: Reg-NS and Det need not look again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.core.detections import Detections
from serving.core.geometry import WorkFrame
from serving.core.modelcard import ModelCard
from serving.datasets.pictures import open_picture
from serving.datasets.store import Dataset, Picture
from serving.scoring.detector import Detector
from serving.scoring.verification import EQUAL_SHARE, pool_probabilities, verify_candidates
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_unseen
from training.evaluation.judgement import ModelName
from training.evaluation.served_analysis import LOWEST


def verify_fold(
    detector: Detector,
    fold: FoldDetections,
    stores: Sequence[Dataset],
    *,
    seen: Iterable[str],
    made_by: Mapping[ModelName, str] | None = None,
    say: Callable[[str], None] = print,
) -> FoldDetections:
    """The candidates of a fold with the word of the detector's verifier, by the code that serves.

    fold : detections of Det, with or without the word of a verifier. Those that the joint probability of an earlier verifier left
        out are not asked about, so a file of Det alone gives most
    seen : patients that took any part in the verifier's weights
    made_by : what `FoldDetections.made_by` is to state of the verifier

    Raises
    ------
    ValueError
        If the detector has no verifier, its weights saw a patient of the fold, or no store has a picture of the fold.
    MitoserveError
        If a picture does not open.
    """
    card = detector.verification_card
    if card is None:
        raise ValueError("there is no verifier to ask: give its run (--verifier)")
    known = {(store.name, picture.id): (store, picture) for store in stores for picture in store}
    if missing := [p.picture for p in fold.pictures if (p.dataset, p.picture) not in known]:
        raise ValueError(f"fold {fold.fold}: no store has picture {missing[0]}; give the stores that it was made from")
    result = fold.model_copy(
        update={
            "seen": sorted({*fold.seen, *seen}),
            "detector_share": _share(card),
            "made_by": {**fold.made_by, **(made_by or {})},
            "pictures": [],
        }
    )
    check_unseen(result, {known[p.dataset, p.picture][1].patient for p in fold.pictures})
    for found in fold.pictures:
        store, picture = known[found.dataset, found.picture]
        result.pictures.append(_verified(found, picture, Path(store.root), detector, card))
        say(f"{picture.id}: {len(result.pictures[-1].detections)} of {len(found.detections)} candidates")
    return result


def _verified(
    found: PictureDetections, picture: Picture, root: Path, detector: Detector, card: ModelCard
) -> PictureDetections:
    """One picture's candidates with the verifier's word in place of an earlier one."""
    rows = np.asarray(found.detections, np.float64).reshape(-1, 3)
    # What Det said is the first opinion; without a verifier it is the probability itself.
    said = np.asarray(found.opinions, np.float64).reshape(-1, 2)[:, 0] if found.opinions else rows[:, 2]
    keep = said >= (card.candidate_probability or 0.0)
    rows = rows[keep]
    det = np.asarray(said[keep], np.float32)
    spoken = _ask(rows[:, :2], picture, root, detector, card)
    # As detect-fold states Det's word: bounded like an opinion.
    first = pool_probabilities(det, det, 1.0)
    joint = pool_probabilities(first, spoken, _share(card))
    kept = joint >= LOWEST
    return found.model_copy(
        update={
            "detections": [(x, y, p) for (x, y, _), p in zip(rows[kept].tolist(), joint[kept].tolist(), strict=True)],
            "opinions": list(zip(first[kept].tolist(), spoken[kept].tolist(), strict=True)),
        }
    )


def _ask(
    centres: NDArray[np.float64], picture: Picture, root: Path, detector: Detector, card: ModelCard
) -> NDArray[np.float32]:
    """The verifier's probability at places, float32, (N,). centres : float64, (N, 2), (x, y), level-0 px."""
    if picture.mpp is None:
        raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
    frame = WorkFrame.from_mpp(picture.mpp, card.input.mpp)
    places = (centres / frame.scale).astype(np.float32)
    ones = np.ones(len(places), np.float32)
    alone = card.model_copy(update={"detector_share": 0.0, "candidate_probability": 0.0})
    with open_picture(root / picture.path) as slide:
        boxes = np.concatenate([places, places], 1)
        return verify_candidates(Detections(boxes, ones, ones), slide, frame, detector, alone).probabilities


def _share(card: ModelCard) -> float:
    """Weight of Det's word beside the verifier's."""
    return EQUAL_SHARE if card.detector_share is None else card.detector_share
